// "Comptes SIP": the operators' lines, where each stands, and the form with its live test.
import { Button, Drawer, Group, Stack, Text, TextInput } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconArrowsSplit2, IconEdit, IconPlugConnected, IconPlus, IconRoute, IconSearch, IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { lazy, useCallback, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useLive } from '../../api/live';
import { useSession } from '../../api/session';
import { confirmed, IconButton, useAction } from '../../parts/actions';
import { Lines, Main, Small, Tag } from '../../parts/cells';
import { DataTable, type Column } from '../../parts/DataTable';
import { FirstAccounts } from '../../parts/FirstAccounts';
import { duration, number } from '../../parts/format';
import { Later } from '../../parts/Later';
import { Answered, Empty, ErrorNote, Page } from '../../parts/Page';
import { StateBadge, type Tone } from '../../parts/StateBadge';
import { useTypedUrlState } from '../../parts/useUrlState';
import type { SipAccount } from './types';

const SipAccountForm = lazy(() => import('./SipAccountForm').then((module) => ({ default: module.SipAccountForm })));

const TONE: Record<string, Tone> = { registered: 'good', registering: 'wait', failed: 'bad', unregistered: 'off', inactive: 'off', removed: 'off', trunk: 'good' };

export function SipAccounts() {
  const { t } = useTranslation();
  const { may, accountId, isNode, accountName } = useSession();
  const queries = useQueryClient();
  const list = useOfAccounts<SipAccount>('/api/admin/sip-accounts', 'account_id', { refetchInterval: 10_000 });
  useLive(({ kind }) => {
    if (['registration.changed', 'call.ended', 'reset'].includes(kind)) void queries.invalidateQueries({ queryKey: ['/api/admin/sip-accounts'] });
  });
  const [search, setSearch] = useTypedUrlState('q');
  const [editing, setEditing] = useState<SipAccount | 'new' | null>(null);
  const [routing, setRouting] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => field.current?.focus()]]);

  const remove = useAction((one: SipAccount) => ask('DELETE', `/api/admin/sip-accounts/${one.id}`), {
    stale: [['/api/admin/sip-accounts']],
    done: (_, one) => t('telephony.sip.removed', { name: one.label }),
  });
  const mayWrite = may('admin');
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return (list.data ?? []).filter((one) => !wanted || `${one.label} ${one.trunk_uri} ${one.username ?? ''}`.toLowerCase().includes(wanted));
  }, [list.data, search]);
  const labels = useMemo(() => new Map((list.data ?? []).map((one) => [one.id, one.label])), [list.data]);

  const columns = useMemo<Column<SipAccount>[]>(
    () => [
      {
        id: 'label',
        header: t('telephony.sip.label'),
        title: true,
        sort: (one) => one.label.toLowerCase(),
        cell: (one) => (
          <Lines>
            <span className="words">
              <Main>{one.label}</Main>
              {one.is_default && <Tag>{t('telephony.sip.default')}</Tag>}
              <Tag color={one.is_active ? 'allo' : 'gray'}>{one.is_active ? t('telephony.sip.active') : t('telephony.sip.inactive')}</Tag>
            </span>
            <Small mono>{one.trunk_uri}</Small>
            {isNode && !accountId && <Small>{accountName(one.account_id)}</Small>}
          </Lines>
        ),
      },
      {
        id: 'state',
        header: t('telephony.sip.state'),
        sort: (one) => one.status.state,
        cell: (one) => (
          <Lines>
            <StateBadge tone={one.is_active ? (TONE[one.status.state] ?? 'wait') : 'off'}>
              {t(`telephony.registration.${one.status.state}` as 'telephony.registration.registered', { defaultValue: one.status.state })}
            </StateBadge>
            {one.status.message && <Small bad={one.status.state === 'failed'}>{one.status.message}</Small>}
            {typeof one.status.retry_in_s === 'number' && <Small>{t('telephony.sip.retry', { time: duration(one.status.retry_in_s) })}</Small>}
          </Lines>
        ),
      },
      { id: 'transport', header: t('telephony.sip.transport'), sort: (one) => one.contact_transport ?? '', cell: (one) => <Small mono strong>{(one.contact_transport ?? 'udp').toUpperCase()}</Small> },
      {
        id: 'calls',
        header: t('telephony.sip.calls30'),
        right: true,
        sort: (one) => one.metrics.calls_received + one.metrics.calls_placed,
        cell: (one) => (
          <Lines right>
            <span>{t('telephony.sip.callsOf', { received: number(one.metrics.calls_received), answered: number(one.metrics.calls_answered), placed: number(one.metrics.calls_placed) })}</span>
            <Small>{t('telephony.sip.talked', { time: duration(one.metrics.duration_s) })}</Small>
          </Lines>
        ),
      },
      {
        id: 'failover',
        header: t('telephony.sip.failover'),
        cell: (one) => (
          <Lines>
            <Small strong>{t('telephony.sip.weightOf', { weight: one.weight })}</Small>
            {one.backup_account_id && (
              <span className="words">
                <IconArrowsSplit2 size={13} aria-hidden />
                <Small strong>{t('telephony.sip.backupOf', { name: labels.get(one.backup_account_id) ?? one.backup_account_id })}</Small>
              </span>
            )}
          </Lines>
        ),
      },
    ],
    [t, isNode, accountId, accountName, labels],
  );

  const removeNow = remove.mutate;
  const actions = useCallback(
    (one: SipAccount) => (
      <>
        <IconButton label={t('common.editOne', { name: one.label })} icon={IconEdit} onClick={() => setEditing(one)} />
        <IconButton
          label={t('common.removeOne', { name: one.label })}
          icon={IconTrash}
          onClick={() =>
            confirmed({ title: t('common.removeOne', { name: one.label }), text: t('telephony.sip.removeText'), confirm: t('common.remove'), cancel: t('common.cancel'), onConfirm: () => removeNow(one) })
          }
        />
      </>
    ),
    [t, removeNow],
  );

  return (
    <Page
      wide
      title={t('telephony.sip.title')}
      intro={t('telephony.sip.intro')}
      actions={
        <>
          <Button variant="default" leftSection={<IconRoute size={16} />} onClick={() => setRouting(true)}>
            {t('telephony.sip.where')}
          </Button>
          {mayWrite && (
            <Button leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
              {t('telephony.sip.add')}
            </Button>
          )}
        </>
      }
    >
      <FirstAccounts />
      <Answered
        query={list}
        empty={
          <Empty
            icon={IconPlugConnected}
            title={t('telephony.sip.emptyTitle')}
            action={
              mayWrite && (
                <Button mt="sm" leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
                  {t('telephony.sip.add')}
                </Button>
              )
            }
          >
            {mayWrite ? t('telephony.sip.empty') : t('common.askAdmin')}
          </Empty>
        }
      >
        {(all) => (
          <>
            {all.length > 5 && (
              <TextInput
                ref={field}
                mb="md"
                w={{ base: '100%', sm: 320 }}
                value={search}
                onChange={(event) => setSearch(event.currentTarget.value)}
                leftSection={<IconSearch size={16} />}
                placeholder={t('telephony.sip.search')}
                aria-label={t('telephony.sip.search')}
              />
            )}
            <DataTable
              rows={rows}
              columns={columns}
              rowId={(one) => one.id}
              nameOf={(one) => one.label}
              label={t('telephony.sip.title')}
              actions={mayWrite ? actions : undefined}
            />
          </>
        )}
      </Answered>
      <Drawer
        opened={editing !== null}
        onClose={() => setEditing(null)}
        position="right"
        size="lg"
        title={editing === 'new' ? t('telephony.sip.add') : editing ? t('common.editOne', { name: editing.label }) : ''}
        closeButtonProps={{ 'aria-label': t('common.close') }}
      >
        {editing !== null && <Later><SipAccountForm account={editing === 'new' ? null : editing} others={list.data ?? []} done={() => setEditing(null)} /></Later>}
      </Drawer>
      <Drawer opened={routing} onClose={() => setRouting(false)} position="right" size="md" title={t('telephony.sip.where')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        <WhereTo labels={labels} />
      </Drawer>
    </Page>
  );
}

interface Route {
  workflow?: string | null;
  phone_line?: string | null;
  steps: { step: string; found?: string | null; is_chosen: boolean }[];
  sip_account_id?: string | null;
  attempts: string[];
  agent_id?: string | null;
}

/** The four steps that choose an account, run for a number, each with what it found. */
function WhereTo({ labels }: { labels: Map<string, string> }) {
  const { t } = useTranslation();
  const { accountId } = useSession();
  const [number, setNumber] = useState('');
  const [asked, setAsked] = useState('');
  const route = useQuery({
    queryKey: ['route', asked, accountId],
    queryFn: () => ask<Route>('GET', `/api/admin/route?number=${encodeURIComponent(asked)}${accountId ? `&account_id=${accountId}` : ''}`),
    enabled: asked !== '',
  });
  const name = (id: string | null | undefined) => (id ? (labels.get(id) ?? id) : t('telephony.sip.nothing'));
  return (
    <Stack>
      <Text size="sm" c="dimmed">
        {t('telephony.sip.whereIntro')}
      </Text>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setAsked(number.trim());
        }}
      >
        <Group align="flex-end">
          <TextInput flex={1} label={t('telephony.sip.number')} placeholder="+33491234567" value={number} onChange={(event) => setNumber(event.currentTarget.value)} inputMode="tel" />
          <Button type="submit" disabled={!number.trim()}>
            {t('telephony.sip.look')}
          </Button>
        </Group>
      </form>
      {route.error ? <ErrorNote error={route.error} /> : null}
      {route.data && (
        <Stack gap="xs">
          <Text fw={600}>{route.data.workflow ? t('telephony.sip.toWorkflow', { name: route.data.workflow }) : route.data.phone_line ? t('telephony.sip.toLine') : t('telephony.sip.toNobody')}</Text>
          {route.data.steps.map((step) => (
            <Group key={step.step} gap="xs" wrap="nowrap">
              <StateBadge tone={step.is_chosen ? 'good' : 'off'}>{t(`telephony.steps.${step.step}` as 'telephony.steps.settings', { defaultValue: step.step })}</StateBadge>
              <Text size="sm">{name(step.found)}</Text>
            </Group>
          ))}
          {route.data.attempts.length > 0 && <Text size="sm">{t('telephony.sip.attempts', { names: route.data.attempts.map(name).join(' → ') })}</Text>}
        </Stack>
      )}
    </Stack>
  );
}

