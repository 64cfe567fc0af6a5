// The waveform of both sides: the caller above, the agent below; marks of tools and troubles stand on the same axis.
import { ActionIcon, Box, Group, SegmentedControl, Text, Tooltip, useComputedColorScheme } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconAlertTriangleFilled, IconPlayerPauseFilled, IconPlayerPlayFilled, IconTool } from '@tabler/icons-react';
import { useEffect, useRef, useState, type RefObject } from 'react';
import { useTranslation } from 'react-i18next';
import WaveSurfer from 'wavesurfer.js';
import { clock, number } from '../../parts/format';
import { ErrorNote } from '../../parts/Page';
import classes from './Calls.module.css';
import type { Explanation, SpokenLine } from './types';

export interface Player {
  seek: (ms: number) => void;
}

interface Props {
  url: string;
  /** Sent with the request of the sound. */
  headers?: Record<string, string>;
  /** The recording begins when the call is answered: so much after the call's own beginning. */
  offsetMs: number;
  explanation: Explanation | undefined;
  lines: SpokenLine[];
  onTime: (ms: number) => void;
  onSeek: (ms: number) => void;
  player: RefObject<Player | null>;
}

const nonce = () => document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content;

export function Sound({ url, headers, offsetMs, explanation, lines, onTime, onSeek, player }: Props) {
  const { t } = useTranslation();
  const scheme = useComputedColorScheme('light');
  const place = useRef<HTMLDivElement>(null);
  const wave = useRef<WaveSurfer | null>(null);
  const tell = useRef(onTime);
  const [playing, setPlaying] = useState(false);
  const [length, setLength] = useState(0);
  const [position, setPosition] = useState(0);
  const [speed, setSpeed] = useState('1');
  const [failed, setFailed] = useState<unknown>(null);
  useEffect(() => {
    tell.current = onTime;
  });

  useEffect(() => {
    if (!place.current) return undefined;
    const dark = scheme === 'dark';
    const lane = (waveColor: string, progressColor: string) => ({ waveColor, progressColor, height: 56 });
    const made = WaveSurfer.create({
      container: place.current,
      url,
      ...(headers ? { fetchParams: { headers, credentials: 'omit' as const } } : {}),
      cspNonce: nonce(),
      height: 56,
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      normalize: true,
      cursorColor: dark ? '#fff' : '#111',
      splitChannels: [lane(dark ? '#5c7cfa' : '#91a7ff', dark ? '#91a7ff' : '#3b5bdb'), lane(dark ? '#149a82' : '#74d8c1', dark ? '#74d8c1' : '#0f766e')],
    });
    wave.current = made;
    made.on('ready', (seconds) => setLength(seconds * 1000));
    made.on('timeupdate', (seconds) => {
      setPosition(seconds * 1000);
      tell.current(seconds * 1000 + offsetMs);
    });
    made.on('play', () => setPlaying(true));
    made.on('pause', () => setPlaying(false));
    made.on('error', (error) => {
      if (error instanceof DOMException && error.name === 'AbortError') return;
      setFailed(error);
    });
    player.current = { seek: (ms) => made.setTime(ms / 1000) };
    return () => {
      player.current = null;
      made.destroy();
    };
  }, [url, headers, offsetMs, scheme, player]);

  useEffect(() => {
    wave.current?.setPlaybackRate(Number(speed));
  }, [speed, length]);

  const toggle = () => void wave.current?.playPause();
  const turn = (direction: 1 | -1) => {
    const now = position + offsetMs;
    const next = direction > 0 ? lines.find((line) => line.atMs > now + 100) : [...lines].reverse().find((line) => line.atMs < now - 400);
    if (next) onSeek(next.atMs);
  };
  useHotkeys([
    ['space', toggle],
    ['J', () => turn(-1)],
    ['K', () => turn(1)],
  ]);

  if (failed) return <ErrorNote error={{ title: t('calls.call.soundFailed'), status: 0, code: '' }} />;
  const marks = [
    ...(explanation?.tools ?? []).map((tool) => ({ at: tool.at_ms, label: `${tool.name} · ${clock(tool.at_ms)}`, icon: IconTool, bad: tool.outcome !== 'ok' && tool.outcome != null })),
    ...(explanation?.timeline ?? []).filter((one) => one.severity !== 'info').map((one) => ({ at: one.at_ms, label: one.text, icon: IconAlertTriangleFilled, bad: true })),
  ].filter((mark) => length > 0 && mark.at >= offsetMs && mark.at <= length + offsetMs);
  return (
    <Box className={classes.wave} role="group" aria-label={t('calls.call.sound')}>
      <Group wrap="nowrap" gap={8}>
        <div className={classes.lanes} aria-hidden>
          <span>{t('calls.roles.user')}</span>
          <span>{t('calls.roles.assistant')}</span>
        </div>
        <Box ref={place} flex={1} miw={0} />
      </Group>
      <div className={classes.marks}>
        {marks.map((mark, index) => (
          <Tooltip key={index} label={mark.label}>
            <button type="button" className={classes.mark} style={{ left: `${((mark.at - offsetMs) / length) * 100}%`, color: mark.bad ? 'var(--mantine-color-red-filled)' : undefined }} onClick={() => onSeek(mark.at)} aria-label={mark.label}>
              <mark.icon size={15} />
            </button>
          </Tooltip>
        ))}
      </div>
      <Group gap="sm" mt={4}>
        <ActionIcon size="lg" radius="xl" onClick={toggle} aria-label={playing ? t('calls.call.pause') : t('calls.call.play')}>
          {playing ? <IconPlayerPauseFilled size={16} /> : <IconPlayerPlayFilled size={16} />}
        </ActionIcon>
        <Text size="sm" ff="monospace" aria-live="off">
          {clock(position)} / {clock(length)}
        </Text>
        <SegmentedControl size="xs" value={speed} onChange={setSpeed} data={['1', '1.5', '2'].map((one) => ({ value: one, label: `${number(Number(one), 1)}×` }))} aria-label={t('calls.call.speed')} />
        <Text size="xs" c="dimmed" visibleFrom="sm">
          {t('calls.call.keys')}
        </Text>
      </Group>
    </Box>
  );
}
