// One call, explained: the sentence on top, then sound, words, tools, signalling, quality and cost on one axis of time.
import { Alert, Badge, Box, Button, Card, Code, Grid, Group, Menu, Modal, SimpleGrid, Stack, Switch, Table, Tabs, Text } from '@mantine/core';
import { IconAlertTriangle, IconArrowLeft, IconBulb, IconChevronDown, IconCircleCheck, IconDownload, IconMicrophoneOff, IconShare, IconShieldLock, IconTrash } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { lazy, Suspense, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useApi, ask, PLATFORM } from '../../api/client';
import { useAgentNames, useLineOf } from '../../api/names';
import { useSession } from '../../api/session';
import { confirmed, useAction } from '../../parts/actions';
import { clock, duration, fullDateTime, milliseconds, money, number, phone } from '../../parts/format';
import { Answered, Empty, ErrorNote, Loading, Page } from '../../parts/Page';
import { useUrlState } from '../../parts/useUrlState';
import classes from './Calls.module.css';
import { Ladder } from './Ladder';
import { LiveNetwork, type RecordedStatistics } from './Network';
import type { Explanation, JournalEntry, SpokenLine } from './types';
import type { Player } from './Sound';

const Sound = lazy(() => import('./Sound').then((module) => ({ default: module.Sound })));
const Shares = lazy(() => import('./Shares').then((module) => ({ default: module.Shares })));
const Quality = lazy(() => import('./Quality').then((module) => ({ default: module.Quality })));

export function CallPage() {
  const { t } = useTranslation();
  const { callId } = useParams({ strict: false }) as { callId: string };
  const { may } = useSession();
  const agentName = useAgentNames();
  const lineName = useLineOf();
  const [tab, setTab] = useUrlState('tab', 'events');
  const [at, setAt] = useState(0);
  const player = useRef<Player | null>(null);
  const call = useApi('/api/calls/{id}', { path: { id: callId } }, { refetchInterval: (query) => (query.state.data && !(query.state.data as { endedAt?: string | null }).endedAt ? 5000 : false) });
  const told = useQuery({ queryKey: ['explanation', callId], queryFn: () => ask<Explanation>('GET', `/api/calls/${callId}/explanation`) });
  const [sharing, setSharing] = useState(false);
  const [erased, setErased] = useState(false);
  const erase = useAction(async (who: { accountId: string; phone: string }) => {
    await ask('POST', '/api/privacy/erase', who);
    // Before anything is read anew: nothing asks for the sound any more.
    setErased(true);
  }, { done: t('calls.call.erased'), stale: [['/api/calls/{id}'], ['explanation', callId]] });

  if (call.error && !call.data) return <Page title={t('calls.call.title')}><ErrorNote error={call.error} retry={() => void call.refetch()} /></Page>;
  if (!call.data) return <Loading />;
  const record = call.data as unknown as CallRecord;
  const lines = record.transcript;
  const hasSound = record.hasRecording && !erased;
  const party = record.direction === 'outbound' ? record.to : record.from;
  const explanation = told.data;
  const offset = explanation?.timings.invite_to_answer_ms ?? 0;
  /** Moves the sound, and with it everything else, to a moment of the call. */
  const seek = (ms: number) => {
    setAt(ms);
    player.current?.seek(Math.max(0, ms - offset));
  };
  const tone = explanation ? { info: 'allo', warning: 'orange', error: 'red' }[explanation.verdict.severity] ?? 'allo' : 'gray';

  return (
    <Page
      wide
      title={t('calls.call.of', { who: phone(party) })}
      intro={
        <Group gap={6} component="span">
          <time dateTime={record.startedAt}>{fullDateTime(record.startedAt)}</time>
          <span>·</span>
          <span>{record.endedAt ? duration(record.durationSec ?? 0) : t('calls.history.running')}</span>
          <span>·</span>
          <span>{agentName(record.agent)}</span>
          <span>·</span>
          <span>{lineName(record)}</span>
        </Group>
      }
      actions={
        <>
          <Button component={Link} to="/calls" variant="default" leftSection={<IconArrowLeft size={16} />}>
            {t('calls.call.back')}
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <Button variant="default" rightSection={<IconChevronDown size={16} />}>
                {t('calls.call.more')}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {may('operator') && record.endedAt && (
                <Menu.Item leftSection={<IconShare size={16} />} onClick={() => setSharing(true)}>
                  {t('calls.share.open')}
                </Menu.Item>
              )}
              {hasSound && (
                <Menu.Item component="a" href={`${PLATFORM}/api/calls/${callId}/recording.wav`} download={`${callId}.wav`} leftSection={<IconDownload size={16} />}>
                  {t('calls.call.download')}
                </Menu.Item>
              )}
              <Menu.Item component={Link} to="/calls" search={{ party } as never} leftSection={<IconArrowLeft size={16} />}>
                {t('calls.call.othersOf')}
              </Menu.Item>
              {may('admin') && (
                <Menu.Item
                  color="red"
                  leftSection={<IconTrash size={16} />}
                  onClick={() =>
                    confirmed({
                      title: t('calls.call.erase'),
                      text: t('calls.call.eraseText', { who: phone(party) }),
                      confirm: t('calls.call.erase'),
                      cancel: t('common.cancel'),
                      onConfirm: () => erase.mutate({ accountId: record.accountId, phone: party }),
                    })
                  }
                >
                  {t('calls.call.erase')}
                </Menu.Item>
              )}
            </Menu.Dropdown>
          </Menu>
        </>
      }
    >
      <Modal opened={sharing} onClose={() => setSharing(false)} size="lg" title={t('calls.share.open')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        <Suspense fallback={<Loading />}>{sharing && <Shares callId={callId} hasSound={hasSound} />}</Suspense>
      </Modal>
      <Stack>
        {told.error ? <ErrorNote error={told.error} retry={() => void told.refetch()} /> : null}
        {explanation && (
          <Alert color={tone} icon={tone === 'allo' ? <IconCircleCheck /> : <IconAlertTriangle />} title={<Text fw={650} size="lg" component="span">{explanation.verdict.text}</Text>} data-verdict={explanation.verdict.code}>
            <Stack gap={6}>
              {explanation.why.map((one) => (
                <Text size="sm" key={one.code + one.text}>
                  {one.text} {one.remedy && <Text span c="dimmed">{one.remedy}</Text>}
                </Text>
              ))}
              {explanation.verdict.remedy && (
                <Group gap={6} wrap="nowrap" align="flex-start">
                  <IconBulb size={18} aria-hidden />
                  <Text size="sm">
                    <b>{t('calls.call.whatToDo')}</b> {explanation.verdict.remedy}
                  </Text>
                </Group>
              )}
              <Group gap={6}>
                {record.outcome && <Badge color="gray">{t(`calls.outcomes.${record.outcome}` as 'calls.outcomes.completed', { defaultValue: record.outcome })}</Badge>}
                <Badge color="gray">{t('calls.call.endedBy', { who: explanation.who.text })}</Badge>
                {record.cost != null && <Badge color="gray">{money(record.cost, record.costCurrency)}</Badge>}
                <Text size="xs" c="dimmed">
                  {explanation.verdict.code}
                </Text>
              </Group>
            </Stack>
          </Alert>
        )}
        {hasSound && record.endedAt ? (
          <Suspense fallback={<Loading />}>
            <Sound url={`${PLATFORM}/api/calls/${callId}/recording.wav`} offsetMs={offset} explanation={explanation} onTime={setAt} player={player} onSeek={seek} lines={lines} />
          </Suspense>
        ) : (
          <Alert color="gray" icon={<IconMicrophoneOff />}>
            {record.endedAt ? t('calls.call.notRecorded') : t('calls.call.recordingLater')}
          </Alert>
        )}
        {!record.endedAt && <LiveNetwork key={callId} id={callId} />}
        <Grid gap="md">
          <Grid.Col span={{ base: 12, md: 5 }}>
            <Card withBorder radius="md" padding="sm">
              <Text component="h2" fw={650} size="md" mb="xs">
                {t('calls.call.transcript')}
              </Text>
              <Transcript lines={lines} at={at} seek={seek} />
            </Card>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 7 }}>
            <Card withBorder radius="md" padding="sm">
              <Tabs value={tab} onChange={(value) => setTab(value ?? 'events')} keepMounted={false}>
                <Tabs.List mb="sm">
                  <Tabs.Tab value="events">{t('calls.call.events')}</Tabs.Tab>
                  <Tabs.Tab value="tools">{t('calls.call.tools', { count: record.toolCalls.length })}</Tabs.Tab>
                  <Tabs.Tab value="latency">{t('calls.call.latency')}</Tabs.Tab>
                  <Tabs.Tab value="quality">{t('calls.call.quality')}</Tabs.Tab>
                  <Tabs.Tab value="sip">SIP</Tabs.Tab>
                  <Tabs.Tab value="cost">{t('calls.call.cost')}</Tabs.Tab>
                </Tabs.List>
                <Tabs.Panel value="events">{explanation && <Events explanation={explanation} at={at} seek={seek} />}</Tabs.Panel>
                <Tabs.Panel value="tools">
                  <Tools record={record} seek={seek} />
                </Tabs.Panel>
                <Tabs.Panel value="latency">{explanation && <Latency explanation={explanation} seek={seek} />}</Tabs.Panel>
                <Tabs.Panel value="quality">
                  <JournalOf callId={callId}>{(journal) => <Suspense fallback={<Loading />}><Quality journal={journal} sound={explanation?.sound ?? null} statistics={record.statistics} /></Suspense>}</JournalOf>
                </Tabs.Panel>
                <Tabs.Panel value="sip">
                  <JournalOf callId={callId}>{(journal) => <Ladder callId={callId} capture={record.capture} journal={journal} seek={seek} />}</JournalOf>
                </Tabs.Panel>
                <Tabs.Panel value="cost">
                  <Costs record={record} />
                </Tabs.Panel>
              </Tabs>
            </Card>
          </Grid.Col>
        </Grid>
      </Stack>
    </Page>
  );
}

interface ToolCall {
  name: string;
  arguments: unknown;
  output: unknown;
  state: string;
  status?: number | null;
  startedAt: string;
  endedAt?: string | null;
}

interface CallRecord {
  id: string;
  accountId: string;
  direction: string;
  from: string;
  to: string;
  agent: string;
  line: string;
  startedAt: string;
  endedAt?: string | null;
  durationSec?: number | null;
  outcome?: string | null;
  cost?: number | null;
  costCurrency?: string | null;
  costs?: { aiMicro?: number; telephonyMicro?: number; thirdPartyMicro?: number; totalMicro?: number; currency?: string; usage?: Record<string, number>; unpriced?: string[] } | null;
  toolCalls: ToolCall[];
  hasRecording: boolean;
  capture: string;
  statistics?: RecordedStatistics | null;
  transcript: SpokenLine[];
}

function JournalOf({ callId, children }: { callId: string; children: (journal: JournalEntry[]) => React.ReactNode }) {
  const journal = useQuery({ queryKey: ['journal', callId], queryFn: () => ask<JournalEntry[]>('GET', `/api/calls/${callId}/events`), staleTime: 30_000 });
  return <Answered query={journal}>{children}</Answered>;
}

export function Transcript({ lines, at, seek }: { lines: SpokenLine[]; at: number; seek: (ms: number) => void }) {
  const { t } = useTranslation();
  if (lines.length === 0) return <Empty title={t('calls.call.nothingSaid')} />;
  let current = -1;
  lines.forEach((line, index) => {
    if (line.atMs <= at + 50) current = index;
  });
  return (
    <Box mah={560} style={{ overflowY: 'auto' }} role="region" aria-label={t('calls.call.transcript')} tabIndex={0}>
      {lines.map((line, index) => (
        <button key={`${line.atMs}-${index}`} type="button" className={classes.line} aria-current={index === current && at > 0} onClick={() => seek(line.atMs)}>
          <Group justify="space-between" gap={6}>
            <Text size="xs" fw={650} c={line.role === 'user' ? undefined : 'var(--mantine-color-anchor)'}>
              {t(`calls.roles.${line.role}` as 'calls.roles.user')}
            </Text>
            <Text size="xs" c="dimmed" ff="monospace">
              {clock(line.atMs)}
            </Text>
          </Group>
          <Text size="sm">{line.content}</Text>
          {line.interruptedAtMs != null && (
            <Text size="xs" c="dimmed">
              {t('calls.call.interrupted', { time: milliseconds(line.interruptedAtMs) })}
            </Text>
          )}
        </button>
      ))}
    </Box>
  );
}

export function Events({ explanation, at, seek }: { explanation: Explanation; at: number; seek: (ms: number) => void }) {
  const { t } = useTranslation();
  const [detail, setDetail] = useState(false);
  const [errors, setErrors] = useState(false);
  const shown = explanation.timeline.filter((one) => (detail || !one.detail) && (!errors || one.severity !== 'info'));
  return (
    <Stack gap="xs">
      <Group>
        <Switch size="xs" label={t('calls.call.detail')} checked={detail} onChange={(event) => setDetail(event.currentTarget.checked)} />
        <Switch size="xs" label={t('calls.call.errorsOnly')} checked={errors} onChange={(event) => setErrors(event.currentTarget.checked)} />
      </Group>
      {shown.length === 0 ? (
        <Empty title={t('calls.call.noErrors')} icon={IconCircleCheck} />
      ) : (
        <Box mah={520} style={{ overflowY: 'auto' }} role="region" aria-label={t('calls.call.events')} tabIndex={0}>
          <ol className={classes.events}>
            {shown.map((one, index) => (
              <li key={index} data-severity={one.severity} aria-current={Math.abs(one.at_ms - at) < 250 && at > 0 ? 'true' : undefined}>
                <button type="button" className={classes.at} onClick={() => seek(one.at_ms)} title={t('calls.call.goTo', { time: clock(one.at_ms) })}>
                  {clock(one.at_ms)}.{String(Math.floor((one.at_ms % 1000) / 100))}
                </button>
                <span>
                  {one.text}
                  {one.remedy && <Text span size="sm" c="dimmed"> {one.remedy}</Text>}
                </span>
              </li>
            ))}
          </ol>
        </Box>
      )}
    </Stack>
  );
}

const pretty = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function Tools({ record, seek }: { record: CallRecord; seek: (ms: number) => void }) {
  const { t } = useTranslation();
  if (record.toolCalls.length === 0) return <Empty title={t('calls.call.noTools')} />;
  return (
    <Stack gap="sm">
      {record.toolCalls.map((tool, index) => {
        const start = Date.parse(tool.startedAt) - Date.parse(record.startedAt);
        const took = tool.endedAt ? Date.parse(tool.endedAt) - Date.parse(tool.startedAt) : null;
        return (
          <details key={index}>
            <summary>
              <Group gap="xs" display="inline-flex">
                <Code fz="sm">{tool.name}</Code>
                <Badge color={tool.state === 'done' ? 'teal' : tool.state === 'failed' ? 'red' : 'orange'}>{t(`calls.toolStates.${tool.state}` as 'calls.toolStates.done', { defaultValue: tool.state })}</Badge>
                {tool.status != null && <Badge color="gray">HTTP {tool.status}</Badge>}
                <Text size="xs" c="dimmed">
                  {milliseconds(took)}
                </Text>
              </Group>
            </summary>
            <Stack gap={6} pt="xs" pl="md">
              <Button size="compact-xs" variant="subtle" onClick={() => seek(start)} style={{ alignSelf: 'flex-start' }}>
                {t('calls.call.goTo', { time: clock(start) })}
              </Button>
              <Text size="xs" fw={600}>
                {t('calls.call.sent')}
              </Text>
              <pre className={classes.pre}>{pretty(tool.arguments)}</pre>
              <Text size="xs" fw={600}>
                {t('calls.call.answered')}
              </Text>
              <pre className={classes.pre}>{pretty(tool.output) || '–'}</pre>
            </Stack>
          </details>
        );
      })}
      <Text size="xs" c="dimmed">
        <IconShieldLock size={13} aria-hidden /> {t('calls.call.masked')}
      </Text>
    </Stack>
  );
}

function Latency({ explanation, seek }: { explanation: Explanation; seek: (ms: number) => void }) {
  const { t } = useTranslation();
  const known = explanation.turns.map((turn) => turn.latency_ms).filter((one): one is number => one != null).sort((a, b) => a - b);
  const part = (share: number) => known[Math.min(known.length - 1, Math.floor(known.length * share))];
  const most = Math.max(1, ...known);
  const facts: [string, number | null | undefined][] = [
    [t('calls.call.toRing'), explanation.timings.invite_to_ring_ms],
    [t('calls.call.toAnswer'), explanation.timings.invite_to_answer_ms],
    [t('calls.call.toFirstAudio'), explanation.timings.answer_to_first_audio_ms],
    [t('calls.call.median'), part(0.5)],
    [t('calls.call.p90'), part(0.9)],
  ];
  return (
    <Stack>
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }}>
        {facts.map(([label, value]) => (
          <div key={label}>
            <Text size="xs" c="dimmed">
              {label}
            </Text>
            <Text fw={650}>{milliseconds(value)}</Text>
          </div>
        ))}
      </SimpleGrid>
      {explanation.turns.length === 0 ? (
        <Empty title={t('calls.call.noTurns')} />
      ) : (
        <Table.ScrollContainer minWidth={420}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t('calls.call.turn')}</Table.Th>
                <Table.Th w="45%">{t('calls.call.waited')}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {explanation.turns.map((turn, index) => (
                <Table.Tr key={index}>
                  <Table.Td>
                    <button type="button" className={classes.line} onClick={() => seek(turn.stopped_at_ms)}>
                      <Text size="xs" c="dimmed" ff="monospace" span>
                        {clock(turn.stopped_at_ms)}
                      </Text>{' '}
                      <Text size="sm" span>
                        {turn.text ?? '–'}
                      </Text>
                    </button>
                  </Table.Td>
                  <Table.Td>
                    <Group gap="xs" wrap="nowrap">
                      <Box className={classes.bar} w={`${((turn.latency_ms ?? 0) / most) * 70}%`} bg={(turn.latency_ms ?? 0) > 2000 ? 'orange' : undefined} />
                      <Text size="sm">{milliseconds(turn.latency_ms)}</Text>
                    </Group>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Stack>
  );
}

function Costs({ record }: { record: CallRecord }) {
  const { t } = useTranslation();
  const costs = record.costs;
  if (!costs) return <Empty title={t('calls.call.noCost')} />;
  const sum = (micro: number | undefined) => money((micro ?? 0) / 1e6, costs.currency ?? record.costCurrency);
  return (
    <Stack>
      <Table>
        <Table.Tbody>
          <Table.Tr>
            <Table.Td>{t('calls.call.costAi')}</Table.Td>
            <Table.Td ta="right">{sum(costs.aiMicro)}</Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Td>{t('calls.call.costTelephony')}</Table.Td>
            <Table.Td ta="right">{sum(costs.telephonyMicro)}</Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Td>{t('calls.call.costThird')}</Table.Td>
            <Table.Td ta="right">{sum(costs.thirdPartyMicro)}</Table.Td>
          </Table.Tr>
          <Table.Tr>
            <Table.Td fw={700}>{t('calls.call.costTotal')}</Table.Td>
            <Table.Td ta="right" fw={700}>
              {sum(costs.totalMicro)}
            </Table.Td>
          </Table.Tr>
        </Table.Tbody>
      </Table>
      {costs.usage && (
        <SimpleGrid cols={{ base: 2, sm: 3 }}>
          {Object.entries(costs.usage).map(([name, value]) => (
            <div key={name}>
              <Text size="xs" c="dimmed">
                {t(`calls.usage.${name}` as 'calls.usage.inputTokens', { defaultValue: name })}
              </Text>
              <Text>{number(value)}</Text>
            </div>
          ))}
        </SimpleGrid>
      )}
      {(costs.unpriced ?? []).length > 0 && <Alert color="orange">{t('calls.call.unpriced', { models: costs.unpriced?.join(', ') })}</Alert>}
    </Stack>
  );
}

