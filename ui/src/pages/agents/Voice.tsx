// A call from the browser: the agent as a caller hears it, in the quality of a telephone, with its words as they are said.
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
import worklet from './sound.worklet.ts?worker&url';
import type { Agent } from './types';

interface Ticket {
  id: string;
  path: string;
}

interface Talking {
  id: string;
  since: number;
  node: AudioWorkletNode;
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
    let context: AudioContext | null = null;
    let stream: MediaStream | null = null;
    try {
      // http elsewhere than on this machine has no microphone.
      if (!navigator.mediaDevices) throw { status: 0, code: '', title: t('agents.voice.insecure') };
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } }).catch(() => {
        throw { status: 0, code: '', title: t('agents.voice.noMicrophone'), remedy: t('agents.voice.noMicrophoneRemedy') };
      });
      context = new AudioContext({ latencyHint: 'interactive' });
      await context.audioWorklet.addModule(worklet);
      const node = new AudioWorkletNode(context, 'telephone', { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1] });
      const ticket = await ask<Ticket>('POST', '/api/calls/browser', { agentId: agent.id, from: from.trim() || undefined });
      const socket = new WebSocket(`${window.location.protocol === 'https:' ? 'wss' : 'ws'}://${window.location.host}${PLATFORM}${ticket.path}`);
      socket.binaryType = 'arraybuffer';
      const opened = context;
      const microphone = stream;
      const hangUp = () => {
        if (running.current?.id !== ticket.id) return;
        running.current = null;
        if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ event: 'stop' }));
        socket.close();
        for (const track of microphone.getTracks()) track.stop();
        void opened.close();
        setTalking(null);
        setEnded(ticket.id);
        setSpeaking(false);
        setMuted(false);
      };
      const begun: Talking = { id: ticket.id, since: Date.now(), node, hangUp };
      node.port.onmessage = (event: MessageEvent<{ sound?: ArrayBuffer; mark?: string; level?: number; speaking?: boolean }>) => {
        const { sound, mark, level: heard, speaking: sounds } = event.data;
        if (socket.readyState !== WebSocket.OPEN) return;
        if (sound) socket.send(sound);
        if (mark !== undefined) socket.send(JSON.stringify({ event: 'mark', mark: { name: mark } }));
        if (heard !== undefined) setLevel(heard);
        if (sounds !== undefined) setSpeaking(sounds);
      };
      socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
        if (typeof event.data !== 'string') {
          node.port.postMessage({ sound: event.data }, [event.data]);
          return;
        }
        const said = JSON.parse(event.data) as { event?: string; mark?: { name?: string } };
        if (said.event === 'clear') node.port.postMessage({ clear: true });
        if (said.event === 'mark') node.port.postMessage({ mark: said.mark?.name ?? '' });
      };
      socket.onclose = () => hangUp();
      await new Promise<void>((resolve, reject) => {
        socket.onopen = () => resolve();
        socket.onerror = () => reject({ status: 0, code: '', title: t('agents.voice.noConnection') });
      });
      socket.send(JSON.stringify({ event: 'start' }));
      context.createMediaStreamSource(stream).connect(node).connect(context.destination);
      await context.resume();
      call.current = ticket.id;
      running.current = begun;
      setTalking(begun);
    } catch (error) {
      for (const track of stream?.getTracks() ?? []) track.stop();
      void context?.close();
      setFailed(error);
    }
    setConnecting(false);
  }

  function mute() {
    talking?.node.port.postMessage({ muted: !muted });
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
