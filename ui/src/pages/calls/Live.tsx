// The live board: who speaks with which agent, since when, and the last words.
import { Alert, Badge, Box, Button, Card, Drawer, Group, ScrollArea, Select, SimpleGrid, Stack, Text, Textarea } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconArrowForwardUp, IconHeadphones, IconHeadphonesOff, IconMessageForward, IconPhoneOff, IconPhone } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { memo, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useApi, ask, PLATFORM, type Schemas } from '../../api/client';
import { useLive, useNow } from '../../api/live';
import { useAgentNames, useLineOf } from '../../api/names';
import { useSession } from '../../api/session';
import { confirmed, useAction } from '../../parts/actions';
import { duration, milliseconds, phone, time } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { StateBadge, type Tone } from '../../parts/StateBadge';
import { ToStart } from '../../parts/ToStart';
import { useUrlState } from '../../parts/useUrlState';
import classes from './Calls.module.css';
import { Invite } from './Invite';
import { LiveNetwork } from './Network';
import { OnTheLine } from './OnTheLine';
import { Parked } from './Parked';
import { useOnTheLine, type OnTheLine as Line } from './useOnTheLine';

type LiveCall = Schemas['LiveView'];
interface Words {
  role: string;
  content: string;
}

const TONE: Record<string, Tone> = { ringing: 'wait', answered: 'good', ending: 'off' };
/** A turn after which the caller waited longer than this is worth a look. */
const SLOW_TURN_MS = 2000;
const WORDS_KEPT = 200;
const NO_WORDS: Words[] = [];
const REREAD_MS = 1000;

function without<T>(all: Record<string, T>, id: string): Record<string, T> {
  const { [id]: gone, ...others } = all;
  return gone === undefined ? all : others;
}

/** What was read of a call and then heard: the end of the one is the beginning of the other, where a line may stand elsewhere or be written otherwise. */
function joined(read: Words[], heard: Words[]): Words[] {
  const more = new Map<string, number>();
  let [common, best, overlap] = [0, 0, 0];
  for (let size = 1; size <= Math.min(read.length, heard.length); size += 1) {
    for (const [line, by] of [[read.at(-size), 1], [heard[size - 1], -1]] as const) {
      const key = `${line?.role} ${line?.content}`;
      const before = more.get(key) ?? 0;
      if (before * by < 0) common += 1;
      more.set(key, before + by);
    }
    // Lines of both, less those of one alone.
    const likeness = 2 * common - size;
    if (likeness > best) [best, overlap] = [likeness, size];
  }
  return [...read, ...heard.slice(overlap)];
}

export function Live() {
  const { t } = useTranslation();
  const { accountId, may } = useSession();
  const queries = useQueryClient();
  const live = useApi('/api/calls/live', { query: { accountId } }, { refetchInterval: 15_000 });
  const latest = useApi('/api/calls', { query: { accountId, state: 'finished', limit: 1 } });
  const [words, setWords] = useState<Record<string, Words[]>>({});
  const [speaking, setSpeaking] = useState<Record<string, string>>({});
  const [open, setOpen] = useUrlState('call');
  const reread = useRef<ReturnType<typeof setTimeout> | null>(null);
  const agentName = useAgentNames();
  const lineName = useLineOf();
  /** Calls that ended while they were looked at. */
  const over = useRef(new Set<string>());

  function forget(id: string) {
    setWords((old) => without(old, id));
    setSpeaking((old) => without(old, id));
  }
  useEffect(() => {
    for (const id of over.current) {
      if (id === open) continue;
      over.current.delete(id);
      forget(id);
    }
  }, [open]);
  useEffect(
    () => () => {
      if (reread.current) clearTimeout(reread.current);
      reread.current = null;
    },
    [],
  );

  useLive(({ kind, data }) => {
    const id = data.callId;
    if (kind === 'call.started' || kind === 'call.ended' || kind === 'call.changed' || kind === 'call.person' || kind === 'call.called' || kind === 'call.parked' || kind === 'reset') {
      // With many calls there is always an event: the list is read once a second at most.
      reread.current ??= setTimeout(() => {
        reread.current = null;
        void queries.invalidateQueries({ queryKey: ['/api/calls/live'] });
      }, latestRead());
      if (kind === 'call.ended') void queries.invalidateQueries({ queryKey: ['/api/calls'] });
    }
    if (!id) return;
    if (kind === 'call.transcript') {
      const line = { role: String(data.role), content: String(data.content) };
      setWords((old) => ({ ...old, [id]: [...(old[id] ?? []), line].slice(-WORDS_KEPT) }));
      setSpeaking((old) => ({ ...old, [id]: '' }));
    }
    if (kind === 'call.agent_delta') setSpeaking((old) => ({ ...old, [id]: (old[id] ?? '') + String(data.delta ?? '') }));
    if (kind === 'call.interrupted') setSpeaking((old) => ({ ...old, [id]: '' }));
    if (kind === 'call.ended') {
      if (id === open) over.current.add(id);
      else forget(id);
    }
  });

  /** Milliseconds until the list may be read again. */
  function latestRead() {
    return Math.max(0, REREAD_MS - (Date.now() - live.dataUpdatedAt));
  }

  const calls = useMemo(() => {
    const waits = (call: LiveCall) => (call.parked ? 3 : call.state === 'ringing' ? 2 : (call.lastTurnMs ?? 0) > SLOW_TURN_MS ? 1 : 0);
    return [...(live.data ?? [])].sort((a, b) => waits(b) - waits(a) || a.startedAt.localeCompare(b.startedAt));
  }, [live.data]);
  const shown = calls.find((call) => call.id === open);
  const last = latest.data?.[0];
  const line = useOnTheLine();
  const mine = calls.find((call) => call.id === line.id);
  const mayRetrieve = may('operator') && line.id === null;
  const taking = useRef(line.retrieve);
  taking.current = line.retrieve;
  // The same function for every card, so that none is drawn anew for it.
  const take = useMemo(
    () => (id: string) => {
      setOpen(id);
      void taking.current(id);
    },
    [setOpen],
  );

  return (
    <Page wide title={t('calls.live.title')} intro={live.data ? t('calls.live.summary', { count: live.data.length }) : t('calls.live.intro')}>
      {line.id && open !== line.id && (
        <Alert color="allo" mb="md" role="status">
          <Group justify="space-between">
            <Text size="sm">{t('calls.line.onTheLine', { who: mine ? phone(mine.from) : '' })}</Text>
            <Group gap="xs">
              <Button size="xs" variant="default" onClick={() => setOpen(line.id ?? '')}>
                {t('calls.live.follow')}
              </Button>
              <Button size="xs" color="red" variant="default" onClick={line.leave}>
                {t('calls.line.leave')}
              </Button>
            </Group>
          </Group>
        </Alert>
      )}
      <Answered
        query={live}
        empty={
          <Empty icon={IconPhone} title={t('calls.live.empty')} action={latest.data && !last && <ToStart />}>
            {last ? (
              <>
                {t('calls.live.last', { time: time(last.startedAt), who: phone(last.from) })}{' '}
                <Link to="/calls/$callId" params={{ callId: last.id } as never}>
                  {t('calls.live.lastLook')}
                </Link>
              </>
            ) : (
              t('calls.live.never')
            )}
          </Empty>
        }
      >
        {() => (
          <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }} component="ul" p={0} m={0} className={classes.plain}>
            {calls.map((call) => (
              <LiveCard key={call.id} call={call} said={words[call.id]?.at(-1)} speaking={speaking[call.id]} agentName={agentName} lineName={lineName} follow={setOpen} retrieve={mayRetrieve ? take : undefined} />
            ))}
          </SimpleGrid>
        )}
      </Answered>
      <Drawer opened={open !== ''} onClose={() => setOpen('')} position="right" size="lg" title={shown ? phone(shown.from) : t('calls.live.over')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {open !== '' && <Follow id={open} call={shown} line={line} words={words[open] ?? NO_WORDS} speaking={speaking[open] ?? ''} />}
      </Drawer>
    </Page>
  );
}

interface CardProps {
  call: LiveCall;
  said: Words | undefined;
  speaking: string | undefined;
  agentName: (id: string | null | undefined) => string;
  lineName: ReturnType<typeof useLineOf>;
  follow: (id: string) => void;
  /** Takes a parked caller, where this person may. */
  retrieve: ((id: string) => void) | undefined;
}

/** A call on the board: a word of one call does not draw the cards of all others anew. */
const LiveCard = memo(function LiveCard({ call, said, speaking, agentName, lineName, follow, retrieve }: CardProps) {
  const { t } = useTranslation();
  const slow = (call.lastTurnMs ?? 0) > SLOW_TURN_MS;
  return (
    <Card component="li" withBorder radius="md" padding="md">
      <Group justify="space-between" mb={6} wrap="nowrap">
        <Text fw={650} size="lg" truncate>
          {phone(call.direction === 'outbound' ? call.to : call.from)}
        </Text>
        <Text fw={600} size="lg" aria-label={t('calls.live.since')}>
          <Since at={call.startedAt} />
        </Text>
      </Group>
      <Group gap={6} mb="xs">
        <StateBadge tone={TONE[call.state] ?? 'wait'}>{t(`calls.states.${call.state}` as 'calls.states.ringing')}</StateBadge>
        <Badge color="gray">{agentName(call.agent)}</Badge>
        <Badge color="gray">{lineName(call)}</Badge>
        {call.person && <Badge color="allo">{t(`calls.line.${call.person.seat}`, { name: call.person.name })}</Badge>}
        {call.parked && <Parked parked={call.parked} />}
        {slow && <Badge color="orange">{t('calls.live.slow', { time: milliseconds(call.lastTurnMs) })}</Badge>}
      </Group>
      <Box className={classes.words} mb="sm">
        {speaking ? (
          <Text size="sm" lineClamp={2}>
            <b>{t('calls.roles.assistant')} : </b>
            {speaking}…
          </Text>
        ) : said ? (
          <Text size="sm" lineClamp={2}>
            <b>{t(`calls.roles.${said.role}` as 'calls.roles.user')} : </b>
            {said.content}
          </Text>
        ) : (
          <Text size="sm" c="dimmed">
            {t('calls.live.nothingYet')}
          </Text>
        )}
      </Box>
      <Group gap="xs">
        {call.parked && retrieve && (
          <Button size="xs" onClick={() => retrieve(call.id)}>
            {t('calls.parked.retrieve')}
          </Button>
        )}
        <Button size="xs" variant="default" onClick={() => follow(call.id)}>
          {t('calls.live.follow')}
        </Button>
      </Group>
    </Card>
  );
});

/** A duration that counts by itself: the board around it is not drawn anew each second. */
function Since({ at }: { at: string }) {
  const now = useNow();
  return <>{duration((now - Date.parse(at)) / 1000)}</>;
}

/** One call while it is spoken: its words, and the hand on it by role. */
function Follow({ id, call, line, words, speaking }: { id: string; call: LiveCall | undefined; line: Line; words: Words[]; speaking: string }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const before = useApi('/api/calls/{id}/transcript', { path: { id } }, { staleTime: Infinity });
  const [told, setTold] = useState('');
  const [target, setTarget] = useState('');
  const [listening, setListening] = useState(false);
  // An agent of the settings has no row of its own, and no targets.
  const agentId = /^[0-9a-f-]{36}$/.test(call?.agent ?? '') ? (call?.agent ?? '') : '';
  const agent = useApi('/api/agents/{id}', { path: { id: agentId } }, { enabled: agentId !== '', staleTime: 60_000 });
  const targets = Object.keys(((agent.data as unknown as Record<string, unknown> | undefined)?.transferTargets as object | undefined) ?? {});
  const end = useRef<HTMLDivElement>(null);
  const running = call !== undefined;
  const lines = useMemo(() => joined((before.data ?? []) as unknown as Words[], words), [before.data, words]);
  useEffect(() => {
    // Its promise is no way to clean up.
    void end.current?.scrollIntoView({ block: 'nearest' });
  }, [lines.length, speaking]);

  const hangUp = useAction(() => ask('POST', `/api/calls/${id}/hangup`), { done: t('calls.live.hungUp'), stale: [['/api/calls/live']] });
  const instruct = useAction((text: string) => ask('POST', `/api/calls/${id}/instruct`, { text }), { done: t('calls.live.told') });
  const transfer = useAction((to: string) => ask('POST', `/api/calls/${id}/transfer`, { target: to }), { done: t('calls.live.transferred') });
  const askHangUp = () => confirmed({ title: t('calls.live.hangUp'), text: t('calls.live.hangUpText'), confirm: t('calls.live.hangUp'), cancel: t('common.cancel'), onConfirm: () => hangUp.mutate(undefined) });
  const mayAct = may('operator') && running;
  // Whoever is on the line hears it there.
  const onTheLine = line.id === id;
  useHotkeys([
    ['L', () => mayAct && setListening((on) => !on)],
    ['J', () => mayAct && call?.state === 'answered' && !call.person && !call.parked && void line.join(id, 'beside')],
    ['X', () => mayAct && askHangUp()],
  ]);

  return (
    <Stack>
      <Group gap="xs">
        {call ? (
          <StateBadge tone={TONE[call.state] ?? 'wait'}>{t(`calls.states.${call.state}` as 'calls.states.ringing')}</StateBadge>
        ) : (
          <>
            <StateBadge tone="off">{t('calls.live.over')}</StateBadge>
            <Button component={Link} to={`/calls/${id}`} size="xs" variant="light">
              {t('calls.live.understand')}
            </Button>
          </>
        )}
        {call?.answerToFirstAudioMs != null && <Badge color="gray">{t('calls.live.firstWord', { time: milliseconds(call.answerToFirstAudioMs) })}</Badge>}
        {call?.lastTurnMs != null && <Badge color={call.lastTurnMs > SLOW_TURN_MS ? 'orange' : 'gray'}>{t('calls.live.lastTurn', { time: milliseconds(call.lastTurnMs) })}</Badge>}
        {(call?.interruptions ?? 0) > 0 && <Badge color="gray">{t('calls.live.interruptions', { count: call?.interruptions })}</Badge>}
      </Group>
      {mayAct && (
        <Group gap="xs">
          {!onTheLine && (
            <Button variant={listening ? 'filled' : 'default'} leftSection={listening ? <IconHeadphonesOff size={16} /> : <IconHeadphones size={16} />} onClick={() => setListening(!listening)}>
              {listening ? t('calls.live.stopListening') : t('calls.live.listen')}
            </Button>
          )}
          <Button variant="default" color="red" leftSection={<IconPhoneOff size={16} />} onClick={askHangUp}>
            {t('calls.live.hangUp')}
          </Button>
        </Group>
      )}
      {mayAct && call && <OnTheLine call={call} line={line} />}
      {!mayAct && line.closed === id && (
        <Alert color="orange" role="status">
          {t('calls.line.callerLeft')}
        </Alert>
      )}
      {running && <LiveNetwork key={id} id={id} read={call.quality} />}
      {listening && running && !onTheLine && (
        <Box>
          {/* eslint-disable-next-line jsx-a11y/media-has-caption -- its transcript stands below */}
          <audio autoPlay controls src={`${PLATFORM}/api/calls/${id}/listen.wav`} className={classes.audio} aria-label={t('calls.live.listen')} />
          <Text size="xs" c="dimmed">
            {t('calls.live.listenNote')}
          </Text>
        </Box>
      )}
      <ScrollArea.Autosize mah="46vh" type="auto" viewportProps={{ tabIndex: 0, 'aria-label': t('calls.call.transcript') }}>
        <Stack gap="xs" role="log" aria-label={t('calls.call.transcript')}>
          {lines.length === 0 && !speaking && (
            <Text size="sm" c="dimmed">
              {t('calls.live.nothingYet')}
            </Text>
          )}
          {lines.map((line, index) => (
            <div key={index} className={line.role === 'user' ? classes.caller : classes.agent}>
              <Text size="xs" c="dimmed">
                {t(`calls.roles.${line.role}` as 'calls.roles.user')}
              </Text>
              <Text size="sm">{line.content}</Text>
            </div>
          ))}
          {speaking && (
            <div className={classes.agent}>
              <Text size="sm">{speaking}…</Text>
            </div>
          )}
          <div ref={end} />
        </Stack>
      </ScrollArea.Autosize>
      {mayAct && (
        <>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              instruct.mutate(told, { onSuccess: () => setTold('') });
            }}
          >
            <Textarea label={t('calls.live.whisper')} description={t('calls.live.whisperHint')} value={told} onChange={(event) => setTold(event.currentTarget.value)} autosize minRows={1} />
            <Button mt="xs" size="xs" type="submit" variant="default" leftSection={<IconMessageForward size={14} />} disabled={!told.trim()} loading={instruct.isPending}>
              {t('calls.live.whisperSend')}
            </Button>
          </form>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              transfer.mutate(target);
            }}
          >
            <Group align="flex-end">
              <Select flex={1} label={t('calls.live.transfer')} description={targets.length > 0 ? t('calls.live.transferHint') : t('calls.live.noTargets')} data={targets} value={target || null} onChange={(value) => setTarget(value ?? '')} disabled={targets.length === 0} />
              <Button type="submit" variant="default" leftSection={<IconArrowForwardUp size={16} />} disabled={!target.trim()} loading={transfer.isPending}>
                {t('calls.live.transferSend')}
              </Button>
            </Group>
          </form>
          {call && <Invite key={id} call={call} />}
        </>
      )}
    </Stack>
  );
}
