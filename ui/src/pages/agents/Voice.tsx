// A call from the browser: the agent as a caller hears it, by WebRTC or by WebSocket, with its words as they are said.
import { Badge, Box, Button, Group, Progress, ScrollArea, Stack, Text, TextInput } from '@mantine/core';
import { IconMicrophone, IconMicrophoneOff, IconPhoneCall, IconPhoneOff } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLive, useNow } from '../../api/live';
import { useSession } from '../../api/session';
import { duration, milliseconds } from '../../parts/format';
import { ErrorNote } from '../../parts/Page';
import classes from '../calls/Calls.module.css';
import type { Agent } from './types';
import { usePhone } from './usePhone';

interface Line {
  role: string;
  content: string;
}

export function Voice({ agent }: { agent: Agent }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const [left, setLeft] = useState<string | null>(null);
  const [from, setFrom] = useState('');
  const [latency, setLatency] = useState<number | null>(null);
  const [lines, setLines] = useState<Line[]>([]);
  const [partial, setPartial] = useState('');
  const now = useNow();
  /** Whose live events are this page's, from before it is connected. */
  const mine = useRef<string | null>(null);
  const phone = usePhone('agents.voice', (id) => (mine.current = id));
  const { call, muted, level, speaking, roundTrip } = phone;
  const ended = phone.closed ?? left;
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (lines.length > 0) end.current?.scrollIntoView({ block: 'nearest' });
  }, [lines.length, partial]);

  useLive(({ kind, data }) => {
    if (data.callId !== mine.current || !mine.current) return;
    if (kind === 'call.transcript') {
      setLines((old) => [...old, { role: String(data.role), content: String(data.content) }]);
      setPartial('');
    }
    if (kind === 'call.agent_delta') setPartial((old) => old + String(data.delta ?? ''));
    if (kind === 'call.interrupted') setPartial('');
    if (kind === 'call.changed' && typeof data.lastTurnMs === 'number') setLatency(data.lastTurnMs);
  });

  function begin() {
    setLines([]);
    setPartial('');
    setLatency(null);
    setLeft(null);
    void phone.begin({ what: agent.id, path: '/api/calls/browser', body: { agentId: agent.id, from: from.trim() || undefined } });
  }

  function hangUp() {
    setLeft(call?.id ?? null);
    phone.hangUp();
  }

  if (!may('operator')) return <Text size="sm">{t('agents.chat.notAllowed')}</Text>;
  return (
    <Stack>
      {phone.failed ? <ErrorNote error={phone.failed} /> : null}
      {!call ? (
        <>
          <Text size="sm" c="dimmed">
            {t('agents.voice.intro')}
          </Text>
          <TextInput label={t('agents.chat.phone')} description={t('agents.voice.fromHint')} placeholder="+33612345678" value={from} onChange={(event) => setFrom(event.currentTarget.value)} inputMode="tel" />
          <Button size="md" leftSection={<IconPhoneCall size={18} />} loading={phone.connecting !== null} onClick={begin}>
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
            <Text fw={650}>{duration((now - call.since) / 1000)}</Text>
          </Group>
          <Box>
            <Text size="xs" c="dimmed" mb={4}>
              {t('agents.voice.level')}
            </Text>
            <Progress value={muted ? 0 : Math.min(100, level * 160)} aria-label={t('agents.voice.level')} />
          </Box>
          <Group grow>
            <Button variant="default" leftSection={muted ? <IconMicrophoneOff size={16} /> : <IconMicrophone size={16} />} onClick={phone.mute} aria-pressed={muted}>
              {muted ? t('agents.voice.unmute') : t('agents.voice.mute')}
            </Button>
            <Button color="red" leftSection={<IconPhoneOff size={16} />} onClick={hangUp}>
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
