// A call from the browser: the agent as a caller hears it, by WebRTC or by WebSocket, with its words as they are said.
import { Badge, Box, Button, Group, Progress, ScrollArea, Stack, Text, TextInput } from '@mantine/core';
import { IconMicrophone, IconMicrophoneOff, IconPhoneCall, IconPhoneOff } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, PLATFORM } from '../../api/client';
import { useLive, useNow } from '../../api/live';
import { useSession } from '../../api/session';
import { duration, milliseconds } from '../../parts/format';
import { ErrorNote } from '../../parts/Page';
import classes from '../calls/Calls.module.css';
import { connect } from './connect';
import type { Ears, Phone, Prepare, Ticket } from './phone';
import type { Agent } from './types';

interface Talking {
  id: string;
  since: number;
  phone: Phone;
  hangUp: () => void;
}

interface Line {
  role: string;
  content: string;
}

export function Voice({ agent }: { agent: Agent }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const [talking, setTalking] = useState<Talking | null>(null);
  const [ended, setEnded] = useState<string | null>(null);
  const [connecting, setConnecting] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const [from, setFrom] = useState('');
  const [muted, setMuted] = useState(false);
  const [level, setLevel] = useState(0);
  const [speaking, setSpeaking] = useState(false);
  const [latency, setLatency] = useState<number | null>(null);
  const [roundTrip, setRoundTrip] = useState<number | null>(null);
  const [lines, setLines] = useState<Line[]>([]);
  const [partial, setPartial] = useState('');
  const now = useNow();
  const call = useRef<string | null>(null);
  const running = useRef<Talking | null>(null);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (lines.length > 0) end.current?.scrollIntoView({ block: 'nearest' });
  }, [lines.length, partial]);
  // Leaving the page hangs up.
  useEffect(() => () => running.current?.hangUp(), []);

  useLive(({ kind, data }) => {
    if (data.callId !== call.current || !call.current) return;
    if (kind === 'call.transcript') {
      setLines((old) => [...old, { role: String(data.role), content: String(data.content) }]);
      setPartial('');
    }
    if (kind === 'call.agent_delta') setPartial((old) => old + String(data.delta ?? ''));
    if (kind === 'call.interrupted') setPartial('');
    if (kind === 'call.changed' && typeof data.lastTurnMs === 'number') setLatency(data.lastTurnMs);
    if (kind === 'call.ended') running.current?.hangUp();
  });

  async function begin() {
    setFailed(null);
    setConnecting(true);
    setLines([]);
    setPartial('');
    setLatency(null);
    setEnded(null);
    setRoundTrip(null);
    try {
      const ears: Ears = {
        begins: (id) => (call.current = id),
        level: setLevel,
        speaking: setSpeaking,
        roundTrip: setRoundTrip,
        closed: () => running.current?.hangUp(),
      };
      const prepare: Prepare = async (offer) => {
        const ticket = await ask<Ticket>('POST', '/api/calls/browser', { agentId: agent.id, from: from.trim() || undefined, offer });
        return { ...ticket, path: `${PLATFORM}${ticket.path}` };
      };
      const made = await connect(prepare, ears, { insecure: t('agents.voice.insecure'), noMicrophone: t('agents.voice.noMicrophone'), noMicrophoneRemedy: t('agents.voice.noMicrophoneRemedy'), noConnection: t('agents.voice.noConnection') });
      const hangUp = () => {
        if (running.current?.id !== made.id) return;
        running.current = null;
        made.hangUp();
        setTalking(null);
        setEnded(made.id);
        setSpeaking(false);
        setMuted(false);
      };
      running.current = { id: made.id, since: Date.now(), phone: made, hangUp };
      setTalking(running.current);
    } catch (error) {
      setFailed(error);
    }
    setConnecting(false);
  }

  function mute() {
    talking?.phone.mute(!muted);
    setMuted(!muted);
  }

  if (!may('operator')) return <Text size="sm">{t('agents.chat.notAllowed')}</Text>;
  return (
    <Stack>
      {failed ? <ErrorNote error={failed} /> : null}
      {!talking ? (
        <>
          <Text size="sm" c="dimmed">
            {t('agents.voice.intro')}
          </Text>
          <TextInput label={t('agents.chat.phone')} description={t('agents.voice.fromHint')} placeholder="+33612345678" value={from} onChange={(event) => setFrom(event.currentTarget.value)} inputMode="tel" />
          <Button size="md" leftSection={<IconPhoneCall size={18} />} loading={connecting} onClick={() => void begin()}>
            {t('agents.voice.call')}
          </Button>
          {ended && (
            <Button component={Link} to={`/calls/${ended}`} variant="light">
              {t('calls.live.understand')}
            </Button>
          )}
        </>
      ) : (
        <>
          <Group justify="space-between">
            <Badge size="lg" color={speaking ? 'allo' : 'gray'}>
              {speaking ? t('agents.voice.speaks') : t('agents.voice.listens')}
            </Badge>
            <Text fw={650}>{duration((now - talking.since) / 1000)}</Text>
          </Group>
          <Box>
            <Text size="xs" c="dimmed" mb={4}>
              {t('agents.voice.level')}
            </Text>
            <Progress value={muted ? 0 : Math.min(100, level * 160)} aria-label={t('agents.voice.level')} />
          </Box>
          <Group grow>
            <Button variant="default" leftSection={muted ? <IconMicrophoneOff size={16} /> : <IconMicrophone size={16} />} onClick={mute} aria-pressed={muted}>
              {muted ? t('agents.voice.unmute') : t('agents.voice.mute')}
            </Button>
            <Button color="red" leftSection={<IconPhoneOff size={16} />} onClick={talking.hangUp}>
              {t('calls.live.hangUp')}
            </Button>
          </Group>
          {latency !== null && (
            <Text size="sm" c="dimmed">
              {t('calls.live.lastTurn', { time: milliseconds(latency) })}
            </Text>
          )}
          {roundTrip !== null && (
            <Text size="sm" c="dimmed">
              {t('agents.voice.roundTrip', { time: milliseconds(roundTrip) })}
            </Text>
          )}
        </>
      )}
      {(lines.length > 0 || partial) && (
        <ScrollArea.Autosize mah="40vh" type="auto" viewportProps={{ tabIndex: 0, 'aria-label': t('calls.call.transcript') }}>
          <Stack gap="xs" role="log" aria-live="polite">
            {lines.map((line, index) => (
              <div key={index} className={line.role === 'user' ? classes.agent : classes.caller}>
                <Text size="sm">{line.content}</Text>
              </div>
            ))}
            {partial && (
              <div className={classes.caller}>
                <Text size="sm">{partial}…</Text>
              </div>
            )}
            <div ref={end} />
          </Stack>
        </ScrollArea.Autosize>
      )}
    </Stack>
  );
}
