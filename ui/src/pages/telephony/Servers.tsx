// "Serveurs vocaux": every agent, what it does now, and the hand on it.
import { Button, Group, List, Text, TextInput } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconPlayerPlay, IconPlayerStop, IconRefresh, IconReload, IconSearch, IconServer2 } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, problemOf } from '../../api/client';
import { useLive } from '../../api/live';
import { useSession } from '../../api/session';
import { IconButton, tellDone, tellFailed, useAction } from '../../parts/actions';
import { Lines, Main, Small, Tag } from '../../parts/cells';
import { DataTable, type Column, type Sorting } from '../../parts/DataTable';
import { dateTime, duration, fullDateTime, number } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { StateBadge, type Tone } from '../../parts/StateBadge';
import { ToStart } from '../../parts/ToStart';
import { useTypedUrlState } from '../../parts/useUrlState';

type State = 'starting' | 'running' | 'unhealthy' | 'failed' | 'stopping' | 'stopped';

export interface VoiceServer {
  id: string;
  name: string;
  customer?: string | null;
  accountId?: string | null;
  state: State;
  mode: 'sip' | 'twilio';
  activeCalls: number;
  uptimeSeconds: number | null;
  ports: Record<string, number | null> | null;
  pids: number[] | null;
  restartCount: number;
  lastHealthCheck: string | null;
  fault: string | null;
  retryInSeconds: number | null;
}

type Order = 'start' | 'stop' | 'restart';

const TONE: Record<State, Tone> = { running: 'good', starting: 'wait', stopping: 'wait', unhealthy: 'warn', failed: 'bad', stopped: 'off' };
/** Trouble first. */
const RANK: Record<State, number> = { failed: 0, unhealthy: 1, starting: 2, stopping: 3, running: 4, stopped: 5 };
const EVERY_MS = 10_000;

const StopDialog = lazy(() => import('./StopDialog').then((module) => ({ default: module.StopDialog })));

interface Outcome {
  name: string;
  order: Order;
  ok: boolean;
  text: string;
}

export function Servers() {
  const { t } = useTranslation();
  const { may, accountId } = useSession();
  const queries = useQueryClient();
  const key = ['servers', accountId];
  const servers = useQuery({
    queryKey: key,
    queryFn: () => ask<VoiceServer[]>('GET', `/api/servers${accountId ? `?accountId=${encodeURIComponent(accountId)}` : ''}`),
    refetchInterval: EVERY_MS,
  });
  useLive(({ kind }) => {
    if (['call.started', 'call.ended', 'server.changed', 'reset'].includes(kind)) void queries.invalidateQueries({ queryKey: key });
  });

  const [search, setSearch] = useTypedUrlState('q');
  const [sort, setSort] = useTypedUrlState('sort', 'state');
  const [selected, setSelected] = useState<string[]>([]);
  const [stopping, setStopping] = useState<VoiceServer[] | null>(null);
  const [outcomes, setOutcomes] = useState<Outcome[]>([]);
  const field = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => field.current?.focus()]]);

  const sorting: Sorting = { id: sort.replace(/^-/, ''), desc: sort.startsWith('-') };
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return (servers.data ?? []).filter((one) => !wanted || `${one.name} ${one.customer ?? ''}`.toLowerCase().includes(wanted));
  }, [servers.data, search]);

  const order = useAction(
    async ({ rows: chosen, order: what, force }: { rows: VoiceServer[]; order: Order; force?: boolean }) => {
      const said: Outcome[] = [];
      for (const one of chosen) {
        try {
          const after = await ask<Partial<VoiceServer> | null>('POST', `/api/servers/${encodeURIComponent(one.id)}/${what}${force ? '?force=true' : ''}`);
          const state = after?.state ? t(`telephony.states.${after.state}`) : '';
          said.push({ name: one.name, order: what, ok: true, text: t(`telephony.servers.done.${what}`, { state }) });
        } catch (error) {
          const problem = problemOf(error);
          said.push({ name: one.name, order: what, ok: false, text: [problem.title, problem.remedy].filter(Boolean).join(' ') });
        }
      }
      return said;
    },
    { stale: [['servers']] },
  );

  async function run(chosen: VoiceServer[], what: Order, force?: boolean) {
    const said = await order.mutateAsync({ rows: chosen, order: what, force });
    setOutcomes(said);
    setSelected([]);
    const only = said.length === 1 ? said[0] : undefined;
    if (only?.ok) tellDone(`${only.name}: ${only.text}`);
    else if (only) tellFailed({ title: only.text }, only.name);
  }

  /** An agent with calls is not stopped without asking what becomes of them. */
  function stop(chosen: VoiceServer[]) {
    if (chosen.some((one) => one.activeCalls > 0)) setStopping(chosen);
    else void run(chosen, 'stop');
  }

  const refresh = useAction(() => ask('POST', '/api/servers/refresh'), { stale: [['servers']], done: t('telephony.servers.refreshed') });
  const mayAct = may('operator');
  const chosenRows = rows.filter((one) => selected.includes(one.id));

  const columns = useMemo<Column<VoiceServer>[]>(
    () => [
      {
        id: 'name',
        header: t('telephony.servers.name'),
        title: true,
        sort: (one) => one.name.toLowerCase(),
        cell: (one) => (
          <Lines>
            <Main>{one.name}</Main>
            {one.customer && one.customer !== one.name && <Small>{one.customer}</Small>}
          </Lines>
        ),
      },
      {
        id: 'state',
        header: t('telephony.servers.state'),
        sort: (one) => RANK[one.state],
        cell: (one) => (
          <Lines>
            <StateBadge tone={TONE[one.state]}>{t(`telephony.states.${one.state}`)}</StateBadge>
            {one.fault && <Small>{one.fault}</Small>}
            {one.retryInSeconds !== null && one.retryInSeconds !== undefined && one.state !== 'running' && <Small>{t('telephony.servers.retry', { time: duration(one.retryInSeconds) })}</Small>}
          </Lines>
        ),
      },
      { id: 'calls', header: t('telephony.servers.calls'), right: true, sort: (one) => one.activeCalls, cell: (one) => (one.activeCalls > 0 ? <Tag>{number(one.activeCalls)}</Tag> : '0') },
      { id: 'mode', header: t('telephony.servers.mode'), sort: (one) => one.mode, cell: (one) => <Tag color={one.mode === 'sip' ? 'blue' : 'violet'}>{one.mode === 'sip' ? 'SIP' : 'Twilio'}</Tag> },
      { id: 'uptime', header: t('telephony.servers.uptime'), right: true, sort: (one) => one.uptimeSeconds ?? -1, cell: (one) => (one.uptimeSeconds ? duration(one.uptimeSeconds) : '–') },
      {
        id: 'ports',
        header: t('telephony.servers.ports'),
        cell: (one) => {
          const ports = Object.entries(one.ports ?? {}).filter(([, port]) => port);
          const pids = (one.pids ?? []).filter((pid, index, all) => all.indexOf(pid) === index);
          if (ports.length === 0) return '–';
          return (
            <Lines>
              <Small mono strong>
                {ports.map(([name, port]) => `${name} ${port}`).join(' · ')}
              </Small>
              {pids.length > 0 && <Small>{t('telephony.servers.processes', { pids: pids.join(', ') })}</Small>}
            </Lines>
          );
        },
      },
      { id: 'restarts', header: t('telephony.servers.restarts'), right: true, sort: (one) => one.restartCount, cell: (one) => number(one.restartCount) },
      {
        id: 'check',
        header: t('telephony.servers.check'),
        right: true,
        sort: (one) => one.lastHealthCheck ?? '',
        cell: (one) => <time dateTime={one.lastHealthCheck ?? undefined} title={fullDateTime(one.lastHealthCheck)}>{dateTime(one.lastHealthCheck)}</time>,
      },
    ],
    [t],
  );

  const acts = useRef({ run, stop });
  useEffect(() => {
    acts.current = { run, stop };
  });
  const actions = useCallback(
    (one: VoiceServer) => (
      <>
        {one.state === 'stopped' || one.state === 'failed' ? (
          <IconButton label={t('telephony.servers.startOne', { name: one.name })} icon={IconPlayerPlay} tone="good" onClick={() => void acts.current.run([one], 'start')} />
        ) : (
          <IconButton label={t('telephony.servers.stopOne', { name: one.name })} icon={IconPlayerStop} onClick={() => acts.current.stop([one])} />
        )}
        <IconButton label={t('telephony.servers.restartOne', { name: one.name })} icon={IconReload} onClick={() => void acts.current.run([one], 'restart')} />
      </>
    ),
    [t],
  );

  const running = (servers.data ?? []).filter((one) => one.state === 'running').length;
  const calls = (servers.data ?? []).reduce((sum, one) => sum + one.activeCalls, 0);
  return (
    <Page
      wide
      title={t('telephony.servers.title')}
      intro={servers.data ? t('telephony.servers.summary', { running, count: servers.data.length, calls }) : t('telephony.servers.intro')}
      actions={
        mayAct && (
          <Button leftSection={<IconRefresh size={16} />} loading={refresh.isPending} onClick={() => refresh.mutate(undefined)}>
            {t('telephony.servers.refresh')}
          </Button>
        )
      }
    >
      <Group mb="md" gap="sm" mih={36}>
        <TextInput
          ref={field}
          value={search}
          onChange={(event) => setSearch(event.currentTarget.value)}
          leftSection={<IconSearch size={16} />}
          placeholder={t('telephony.servers.search')}
          aria-label={t('telephony.servers.search')}
          w={{ base: '100%', sm: 320 }}
        />
        {mayAct && chosenRows.length > 0 && (
          <Group gap="xs" role="toolbar" aria-label={t('common.selection', { count: chosenRows.length })}>
            <Text size="sm">{t('common.selection', { count: chosenRows.length })}</Text>
            <Button size="xs" variant="default" leftSection={<IconPlayerPlay size={14} />} onClick={() => void run(chosenRows, 'start')}>
              {t('telephony.servers.start')}
            </Button>
            <Button size="xs" variant="default" leftSection={<IconReload size={14} />} onClick={() => void run(chosenRows, 'restart')}>
              {t('telephony.servers.restart')}
            </Button>
            <Button size="xs" variant="default" leftSection={<IconPlayerStop size={14} />} onClick={() => stop(chosenRows)}>
              {t('telephony.servers.stop')}
            </Button>
          </Group>
        )}
      </Group>
      {outcomes.length > 1 && (
        <List size="sm" mb="md" role="status" listStyleType="none">
          {outcomes.map((one) => (
            <List.Item key={one.name}>
              <StateBadge tone={one.ok ? 'good' : 'bad'}>{one.name}</StateBadge> {one.text}
            </List.Item>
          ))}
        </List>
      )}
      <Answered
        query={servers}
        empty={
          <Empty title={t('telephony.servers.emptyTitle')} icon={IconServer2} action={<ToStart />}>
            {may('admin') ? t('telephony.servers.empty') : t('common.askAdmin')}
          </Empty>
        }
      >
        {() =>
          rows.length === 0 ? (
            <Empty title={t('telephony.servers.noneFound', { search })} action={<Button variant="default" onClick={() => setSearch('')}>{t('common.clearFilters')}</Button>} />
          ) : (
            <DataTable
              rows={rows}
              columns={columns}
              rowId={(one) => one.id}
              nameOf={(one) => one.name}
              label={t('telephony.servers.title')}
              sorting={sorting}
              onSorting={(next) => setSort(`${next.desc ? '-' : ''}${next.id}`)}
              selected={mayAct ? selected : undefined}
              onSelect={mayAct ? setSelected : undefined}
              actions={mayAct ? actions : undefined}
            />
          )
        }
      </Answered>
      {stopping && (
        <Suspense>
          <StopDialog rows={stopping} close={() => setStopping(null)} stop={(force) => void run(stopping, 'stop', force)} />
        </Suspense>
      )}
    </Page>
  );
}
