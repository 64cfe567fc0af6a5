// All calls: filters in the address, saved views, CSV of what is seen.
import { Badge, Button, Group, Menu, Select, Stack, TextInput } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconBookmark, IconDownload, IconHistory, IconSearch, IconTrash } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { client, PLATFORM, type Schemas } from '../../api/client';
import { useLive } from '../../api/live';
import { useAgentNames, useLineNames, useLineOf } from '../../api/names';
import { useSession } from '../../api/session';
import { tellDone } from '../../parts/actions';
import { Lines, Main, Small, Tag } from '../../parts/cells';
import { DataTable, type Column } from '../../parts/DataTable';
import { dateTime, duration, fullDateTime, money, phone } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { ToStart } from '../../parts/ToStart';
import { useUrlState } from '../../parts/useUrlState';

type Call = Schemas['CallView'];
const PAGE = 100;
const VIEWS = 'allo.views.calls';
const REASONS = [
  'caller_hung_up', 'agent_hung_up', 'operator_hung_up', 'transferred', 'transfer_failed', 'caller_cancelled', 'busy', 'no_answer', 'idle_timeout', 'max_duration',
  'engine_unavailable', 'engine_lost', 'engine_refused', 'media_lost', 'rejected', 'rejected_blocked', 'agent_stopped', 'closed', 'no_balance', 'concurrency', 'rate_limited',
  'no_common_codec', 'unknown_number', 'unauthorized', 'certificate_refused', 'caller_unproven', 'not_parked', 'no_such_call', 'overload', 'process_lost', 'internal',
] as const;
const OUTCOMES = ['order_placed', 'reservation_placed', 'message_left', 'info_only', 'completed', 'transferred', 'abandoned', 'error', 'no_balance'] as const;

const idOf = (call: Call) => call.id;
const fromOf = (call: Call) => call.from;

interface View {
  name: string;
  search: Record<string, string>;
}

function storedViews(): View[] {
  try {
    return JSON.parse(localStorage.getItem(VIEWS) ?? '[]') as View[];
  } catch {
    return [];
  }
}

/** Midnight of a day of the reader, as the API wants it; `plus` days later. */
function instant(day: string, plus = 0): string | undefined {
  if (!day) return undefined;
  const [year, month, date] = day.split('-').map(Number);
  if (!year || !month || !date) return undefined;
  return new Date(year, month - 1, date + plus).toISOString();
}

export function History() {
  const { t } = useTranslation();
  const { accountId } = useSession();
  const navigate = useNavigate();
  const agentName = useAgentNames();
  const lineName = useLineNames();
  const lineOf = useLineOf();
  const [party, setParty] = useUrlState('party');
  const [agentId, setAgent] = useUrlState('agentId');
  const [outcome, setOutcome] = useUrlState('outcome');
  const [reason, setReason] = useUrlState('reason');
  const [state, setState] = useUrlState('state');
  const [since, setSince] = useUrlState('since');
  const [until, setUntil] = useUrlState('until');
  const [line, setLine] = useUrlState('line');
  const [views, setViews] = useState(storedViews);
  const [viewName, setViewName] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => field.current?.focus()]]);

  const query = useMemo(
    () => ({
      accountId,
      party: party || undefined,
      agentId: agentId || undefined,
      line: line || undefined,
      outcome: outcome || undefined,
      reason: reason || undefined,
      state: state || undefined,
      since: instant(since),
      until: instant(until, 1),
    }),
    [accountId, party, agentId, line, outcome, reason, state, since, until],
  );
  const calls = useInfiniteQuery({
    queryKey: ['calls', query],
    initialPageParam: '',
    queryFn: async ({ pageParam, signal }) => {
      const { data, error, response } = await client.GET('/api/calls', { params: { query: { ...query, limit: PAGE, cursor: pageParam || undefined } }, signal });
      if (error) throw error;
      return { rows: data, next: response.headers.get('X-Next-Cursor') ?? '' };
    },
    getNextPageParam: (last) => last.next || undefined,
    placeholderData: (before) => before,
  });
  useLive(({ kind }) => {
    if (kind === 'call.ended' || kind === 'call.started') void calls.refetch();
  });
  const rows = useMemo(() => calls.data?.pages.flatMap((page) => page.rows) ?? [], [calls.data]);
  const filtered = [party, agentId, line, outcome, reason, state, since, until].some(Boolean);
  const agents = useMemo(() => {
    const ids = new Set(rows.map((call) => call.agentId).filter((id): id is string => Boolean(id)));
    if (agentId) ids.add(agentId);
    return [...ids].map((id) => ({ value: id, label: agentName(id) }));
  }, [rows, agentId, agentName]);
  const outcomes = useMemo(() => {
    const found = new Set<string>([...OUTCOMES, ...rows.map((call) => call.outcome).filter((one): one is string => Boolean(one))]);
    if (outcome) found.add(outcome);
    return [...found].map((one) => ({ value: one, label: t(`calls.outcomes.${one}` as 'calls.outcomes.completed', { defaultValue: one }) }));
  }, [rows, outcome, t]);

  function clear() {
    void navigate({ to: '.', search: {} as never, replace: true });
  }

  function keepView() {
    const search = Object.fromEntries(Object.entries({ party, agentId, line, outcome, reason, state, since, until }).filter(([, value]) => value));
    const next = [...views.filter((view) => view.name !== viewName), { name: viewName, search }];
    localStorage.setItem(VIEWS, JSON.stringify(next));
    setViews(next);
    setViewName('');
    tellDone(t('calls.history.viewKept'));
  }

  const csv = `${PLATFORM}/api/calls.csv?${new URLSearchParams(Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]))).toString()}`;
  const columns = useMemo<Column<Call>[]>(
    () => [
      {
        id: 'started',
        header: t('calls.history.when'),
        sort: (call) => call.startedAt,
        cell: (call) => (
          <Link to={`/calls/${call.id}` as '/live'}>
            <time dateTime={call.startedAt} title={fullDateTime(call.startedAt)}>
              {dateTime(call.startedAt)}
            </time>
          </Link>
        ),
      },
      {
        id: 'party',
        header: t('calls.history.party'),
        title: true,
        sort: (call) => call.from,
        cell: (call) => (
          <Lines>
            <Link to={`/calls/${call.id}` as '/live'} className="plain-link">
              <Main>{phone(call.direction === 'outbound' ? call.to : call.from)}</Main>
            </Link>
            {call.direction === 'outbound' && <Small>{t('calls.history.outbound')}</Small>}
          </Lines>
        ),
      },
      { id: 'agent', header: t('calls.history.agent'), sort: (call) => agentName(call.agent), cell: (call) => agentName(call.agent) },
      { id: 'line', header: t('calls.history.line'), sort: lineOf, cell: lineOf, wideOnly: true },
      { id: 'duration', header: t('calls.history.duration'), right: true, sort: (call) => call.durationSec ?? -1, cell: (call) => (call.endedAt ? duration(call.durationSec ?? 0) : <Tag color="teal">{t('calls.history.running')}</Tag>) },
      {
        id: 'outcome',
        header: t('calls.history.outcome'),
        sort: (call) => call.outcome ?? '',
        cell: (call) =>
          call.outcome ? (
            <Tag color={call.outcome === 'error' ? 'red' : ['abandoned', 'no_balance'].includes(call.outcome) ? 'orange' : 'teal'}>{t(`calls.outcomes.${call.outcome}` as 'calls.outcomes.completed', { defaultValue: call.outcome })}</Tag>
          ) : (
            '–'
          ),
      },
      { id: 'verdict', header: t('calls.history.verdict'), cell: (call) => call.verdict?.text ?? '–' },
      { id: 'cost', header: t('calls.history.cost'), right: true, sort: (call) => call.cost ?? -1, cell: (call) => money(call.cost, call.costCurrency) },
    ],
    [t, agentName, lineName],
  );

  return (
    <Page
      wide
      title={t('calls.history.title')}
      intro={t('calls.history.intro')}
      actions={
        <>
          <Menu position="bottom-end" width={260} closeOnItemClick={false}>
            <Menu.Target>
              <Button variant="default" leftSection={<IconBookmark size={16} />}>
                {t('calls.history.views')}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {views.length === 0 && <Menu.Label>{t('calls.history.noViews')}</Menu.Label>}
              {views.map((view) => (
                <Menu.Item
                  key={view.name}
                  onClick={() => void navigate({ to: '/calls', search: view.search as never })}
                  rightSection={
                    <IconTrash
                      size={14}
                      role="button"
                      aria-label={t('common.removeOne', { name: view.name })}
                      onClick={(event) => {
                        event.stopPropagation();
                        const next = views.filter((one) => one.name !== view.name);
                        localStorage.setItem(VIEWS, JSON.stringify(next));
                        setViews(next);
                      }}
                    />
                  }
                >
                  {view.name}
                </Menu.Item>
              ))}
              {filtered && (
                <>
                  <Menu.Divider />
                  <form
                    onSubmit={(event) => {
                      event.preventDefault();
                      if (viewName.trim()) keepView();
                    }}
                  >
                    <Group gap={6} p={6} wrap="nowrap">
                      <TextInput size="xs" flex={1} placeholder={t('calls.history.viewName')} aria-label={t('calls.history.viewName')} value={viewName} onChange={(event) => setViewName(event.currentTarget.value)} />
                      <Button size="xs" type="submit" disabled={!viewName.trim()}>
                        {t('common.save')}
                      </Button>
                    </Group>
                  </form>
                </>
              )}
            </Menu.Dropdown>
          </Menu>
          <Button component="a" href={csv} download="calls.csv" variant="default" leftSection={<IconDownload size={16} />}>
            CSV
          </Button>
        </>
      }
    >
      <Group mb="md" gap="sm" align="flex-end" role="search">
        <TextInput ref={field} w={{ base: '100%', sm: 210 }} label={t('calls.history.number')} leftSection={<IconSearch size={16} />} value={party} onChange={(event) => setParty(event.currentTarget.value)} inputMode="tel" />
        <Select w={{ base: '47%', sm: 170 }} label={t('calls.history.agent')} placeholder={t('common.all')} data={agents} value={agentId || null} onChange={(value) => setAgent(value ?? '')} clearable searchable clearButtonProps={{ 'aria-label': t('common.all') }} />
        <Select w={{ base: '47%', sm: 170 }} label={t('calls.history.outcome')} placeholder={t('common.all')} data={outcomes} value={outcome || null} onChange={(value) => setOutcome(value ?? '')} clearable clearButtonProps={{ 'aria-label': t('common.all') }} />
        <Select w={{ base: '47%', sm: 190 }} label={t('calls.history.reason')} placeholder={t('common.all')} data={REASONS.map((one) => ({ value: one, label: t(`calls.reasons.${one}`) }))} value={reason || null} onChange={(value) => setReason(value ?? '')} clearable clearButtonProps={{ 'aria-label': t('common.all') }} />
        <TextInput w={{ base: '47%', sm: 150 }} type="date" label={t('calls.history.since')} value={since} onChange={(event) => setSince(event.currentTarget.value)} />
        <TextInput w={{ base: '47%', sm: 150 }} type="date" label={t('calls.history.until')} value={until} onChange={(event) => setUntil(event.currentTarget.value)} />
        {filtered && (
          <Button variant="subtle" onClick={clear}>
            {t('common.clearFilters')}
          </Button>
        )}
        {line && (
          <Badge variant="outline" rightSection={<IconTrash size={12} onClick={() => setLine('')} />}>
            {lineName(line)}
          </Badge>
        )}
        {state && (
          <Badge variant="outline" rightSection={<IconTrash size={12} onClick={() => setState('')} />}>
            {state}
          </Badge>
        )}
      </Group>
      <Answered
        query={{ data: calls.data ? rows : undefined, error: calls.error, isPending: calls.isPending, refetch: calls.refetch }}
        empty={
          filtered ? (
            <Empty icon={IconSearch} title={t('calls.history.noneFound')} action={<Button variant="default" onClick={clear}>{t('common.clearFilters')}</Button>} />
          ) : (
            <Empty icon={IconHistory} title={t('calls.history.empty')} action={<ToStart />}>
              {t('calls.history.emptyHint')}
            </Empty>
          )
        }
      >
        {() => (
          <Stack>
            <DataTable rows={rows} columns={columns} rowId={idOf} label={t('calls.history.title')} nameOf={fromOf} />
            {calls.hasNextPage && (
              <Button variant="default" loading={calls.isFetchingNextPage} onClick={() => void calls.fetchNextPage()} style={{ alignSelf: 'center' }}>
                {t('calls.history.older')}
              </Button>
            )}
          </Stack>
        )}
      </Answered>
    </Page>
  );
}

