// "Postes": telephones that register with us, where each is now, what it has to be told, and the button that rings it.
import { Drawer } from '@mantine/core';
import { IconAdjustments, IconBell, IconDeviceLandlinePhone } from '@tabler/icons-react';
import { lazy, useCallback, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useAgentNames } from '../../api/names';
import { useSession } from '../../api/session';
import { IconButton, useAction } from '../../parts/actions';
import { Lines, Main, Small } from '../../parts/cells';
import type { Column } from '../../parts/DataTable';
import { EntityPage } from '../../parts/EntityPage';
import { duration, phone } from '../../parts/format';
import { Later } from '../../parts/Later';
import { StateBadge, type Tone } from '../../parts/StateBadge';
import { DEVICES, type Device } from './types';

const DeviceForm = lazy(() => import('./DeviceForm').then((module) => ({ default: module.DeviceForm })));
const Telephone = lazy(() => import('./Telephone').then((module) => ({ default: module.Telephone })));

/** A telephone that registers is seen within so long: nothing tells the pages of it. */
const EVERY_MS = 3_000;

type Standing = 'registered' | 'silent' | 'nowhere' | 'inactive';
const TONE: Record<Standing, Tone> = { registered: 'good', silent: 'warn', nowhere: 'off', inactive: 'pause' };
/** Trouble first. */
const RANK: Record<Standing, number> = { silent: 0, nowhere: 1, registered: 2, inactive: 3 };

function standingOf(device: Device): Standing {
  if (!device.is_active) return 'inactive';
  if (device.bindings.length === 0) return 'nowhere';
  return device.bindings.some((place) => place.is_reachable) ? 'registered' : 'silent';
}

export function Devices() {
  const { t } = useTranslation();
  const { may, accountId, isNode, accountName } = useSession();
  const list = useOfAccounts<Device>(DEVICES, 'account_id', { refetchInterval: EVERY_MS });
  const workflows = useOfAccounts<{ id: string; name: string }>('/api/admin/workflows', 'account_id');
  const agentName = useAgentNames();
  const [telling, setTelling] = useState<string | null>(null);
  const stale = [[DEVICES]];
  const remove = useAction((one: Device) => ask('DELETE', `${DEVICES}/${one.id}`), { stale, done: (_, one) => t('telephony.devices.removed', { name: one.label }) });
  const ring = useAction((one: Device) => ask('POST', '/api/calls', { device: one.id }), { stale: [['live']], done: (_, one) => t('telephony.devices.rings', { name: one.label }) });
  const mayWrite = may('admin');

  const answers = useMemo(() => {
    const names = new Map((workflows.data ?? []).map((one) => [one.id, one.name]));
    return (one: Device) =>
      one.workflow_id ? t('telephony.devices.byWorkflow', { name: names.get(one.workflow_id) ?? one.workflow_id.slice(0, 8) }) : one.agent_id ? agentName(one.agent_id) : t('telephony.devices.byNobody');
  }, [workflows.data, agentName, t]);

  const columns = useMemo<Column<Device>[]>(
    () => [
      {
        id: 'label',
        header: t('telephony.devices.label'),
        title: true,
        sort: (one) => one.label.toLowerCase(),
        cell: (one) => (
          <Lines>
            <Main>{one.label}</Main>
            <Small mono>{one.domain ? `${one.username}@${one.domain}` : one.username}</Small>
            {isNode && !accountId && <Small>{accountName(one.account_id)}</Small>}
          </Lines>
        ),
      },
      {
        id: 'state',
        header: t('telephony.devices.state'),
        sort: (one) => RANK[standingOf(one)],
        cell: (one) => {
          const standing = standingOf(one);
          return (
            <Lines>
              <StateBadge tone={TONE[standing]}>{t(`telephony.devices.standing.${standing}`)}</StateBadge>
              {one.bindings.length > 1 && <Small>{t('telephony.devices.places', { count: one.bindings.length })}</Small>}
            </Lines>
          );
        },
      },
      {
        id: 'where',
        header: t('telephony.devices.where'),
        sort: (one) => one.bindings[0]?.source ?? '',
        cell: (one) =>
          one.bindings.length === 0 ? (
            '–'
          ) : (
            <Lines>
              {one.bindings.map((place) => (
                <Lines key={place.contact}>
                  <Small mono strong>{`${place.source} · ${place.transport.toUpperCase()}`}</Small>
                  <Small>
                    {[place.user_agent, place.is_behind_nat ? t('telephony.devices.behindNat') : null, place.is_reachable ? null : t('telephony.devices.silent'), t('telephony.devices.expires', { time: duration(place.expires_in_s) })]
                      .filter(Boolean)
                      .join(' · ')}
                  </Small>
                </Lines>
              ))}
            </Lines>
          ),
      },
      {
        id: 'answers',
        header: t('telephony.devices.answers'),
        sort: (one) => answers(one).toLowerCase(),
        cell: (one) => answers(one),
      },
      { id: 'shows', header: t('telephony.devices.shows'), sort: (one) => one.caller_id ?? '', cell: (one) => (one.caller_id ? phone(one.caller_id) : t('telephony.devices.showsOwn')), wideOnly: true },
    ],
    [t, isNode, accountId, accountName, answers],
  );

  const ringNow = ring.mutate;
  const more = useCallback(
    (one: Device) => (
      <>
        {may('operator') && one.is_active && one.bindings.length > 0 && <IconButton label={t('telephony.devices.ringOne', { name: one.label })} icon={IconBell} onClick={() => ringNow(one)} />}
        {mayWrite && <IconButton label={t('telephony.devices.tellOne', { name: one.label })} icon={IconAdjustments} onClick={() => setTelling(one.id)} />}
      </>
    ),
    [may, mayWrite, ringNow, t],
  );
  const removeNow = remove.mutate;
  const removal = useMemo(() => (mayWrite ? { text: t('telephony.devices.removeText'), run: (one: Device) => removeNow(one) } : undefined), [mayWrite, removeNow, t]);
  const told = telling ? (list.data ?? []).find((one) => one.id === telling) : undefined;
  return (
    <>
      <EntityPage
        title={t('telephony.devices.title')}
        intro={t('telephony.devices.intro')}
        query={list}
        byAccount
        columns={columns}
        rowId={idOf}
        nameOf={nameOf}
        textOf={textOf}
        icon={IconDeviceLandlinePhone}
        emptyTitle={t('telephony.devices.emptyTitle')}
        emptyHint={mayWrite ? t('telephony.devices.empty') : t('common.askAdmin')}
        add={mayWrite ? t('telephony.devices.add') : undefined}
        more={may('operator') ? more : undefined}
        remove={removal}
        form={mayWrite ? (one, close) => <DeviceForm device={one} done={close} /> : undefined}
      />
      <Drawer opened={told !== undefined} onClose={() => setTelling(null)} position="right" size="md" title={told ? t('telephony.devices.tellOne', { name: told.label }) : ''} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {told && (
          <Later>
            <Telephone device={told} />
          </Later>
        )}
      </Drawer>
    </>
  );
}

const idOf = (one: Device) => one.id;
const nameOf = (one: Device) => one.label;
const textOf = (one: Device) => `${one.label} ${one.username} ${one.domain} ${one.caller_id ?? ''} ${one.bindings.map((place) => place.source).join(' ')}`;
