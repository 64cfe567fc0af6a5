// The SIP messages as a ladder: each with its time, its direction, and on demand its text.
import { Button, Group, Stack, Text } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { PLATFORM } from '../../api/client';
import { Empty } from '../../parts/Page';
import classes from './Calls.module.css';
import type { JournalEntry } from './types';

const ROW = 34;
const LEFT = 150;
const RIGHT = 470;
const WIDTH = 640;

interface SipMessage {
  at: number;
  sent: boolean;
  start: string;
  retransmission: boolean;
  text: string;
  remote: string;
  protocol: string;
}

function label(start: string): string {
  return start.startsWith('SIP/2.0 ') ? start.slice(8) : (start.split(' ')[0] ?? start);
}

export function Ladder({ callId, capture, journal, seek }: { callId: string; capture: string; journal: JournalEntry[]; seek: (ms: number) => void }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState<number | null>(null);
  const messages = journal
    .filter((entry) => entry.event.type === 'sip_message')
    .map((entry): SipMessage => {
      const event = entry.event;
      return { at: entry.at_ms, sent: Boolean(event.sent), start: String(event.start_line ?? ''), retransmission: Boolean(event.retransmission), text: String(event.text ?? ''), remote: String(event.remote ?? ''), protocol: String(event.protocol ?? '') };
    });
  if (messages.length === 0) return <Empty title={t('calls.call.noSip')} />;
  const height = ROW * (messages.length + 1) + 10;
  const shown = open === null ? undefined : messages[open];
  return (
    <Stack>
      <Group justify="flex-end">
        <Button component="a" href={`${PLATFORM}/api/calls/${callId}/capture.pcapng`} download={`${callId}.pcapng`} variant="default" size="xs" leftSection={<IconDownload size={14} />}>
          {t(capture === 'media' ? 'calls.call.captureMedia' : capture === 'headers' ? 'calls.call.captureHeaders' : 'calls.call.signalling')}
        </Button>
      </Group>
      <svg className={classes.ladder} viewBox={`0 0 ${WIDTH} ${height}`} role="group" aria-label={t('calls.call.ladder')}>
        <text x={LEFT} y={14} textAnchor="middle" fontWeight="600">
          {messages[0]?.remote}
        </text>
        <text x={RIGHT} y={14} textAnchor="middle" fontWeight="600">
          allo
        </text>
        <line x1={LEFT} x2={LEFT} y1={22} y2={height} opacity="0.35" />
        <line x1={RIGHT} x2={RIGHT} y1={22} y2={height} opacity="0.35" />
        {messages.map((message, index) => {
          const y = ROW * (index + 1) + 16;
          const [from, to] = message.sent ? [RIGHT, LEFT] : [LEFT, RIGHT];
          const head = message.sent ? 7 : -7;
          const words = `${label(message.start)}${message.retransmission ? ` (${t('calls.call.again')})` : ''}`;
          const show = () => {
            setOpen(open === index ? null : index);
            seek(message.at);
          };
          return (
            <g key={index} role="button" tabIndex={0} aria-expanded={open === index} onClick={show} onKeyDown={(event) => (event.key === 'Enter' || event.key === ' ') && (event.preventDefault(), show())} cursor="pointer">
              <rect x="0" y={y - 20} width={WIDTH} height={ROW - 4} fill={open === index ? 'var(--mantine-primary-color-light)' : 'transparent'} rx="6" />
              <text x="8" y={y} fontFamily="monospace" opacity="0.75">
                {(message.at / 1000).toFixed(3)} s
              </text>
              <line x1={from} x2={to} y1={y} y2={y} strokeWidth="1.4" strokeDasharray={message.retransmission ? '4 3' : undefined} />
              <path d={`M ${to + head} ${y - 4} L ${to} ${y} L ${to + head} ${y + 4}`} strokeWidth="1.4" />
              <text x={(LEFT + RIGHT) / 2} y={y - 5} textAnchor="middle">
                {words}
              </text>
            </g>
          );
        })}
      </svg>
      {shown ? (
        <pre className={classes.pre}>{shown.text}</pre>
      ) : (
        <Text size="xs" c="dimmed">
          {t('calls.call.ladderHint')}
        </Text>
      )}
    </Stack>
  );
}
