// What the packets say, every five seconds of the call.
import { Alert, SimpleGrid, Stack, Text } from '@mantine/core';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { Chart } from '../../parts/Chart';
import { clock, milliseconds, number } from '../../parts/format';
import { Empty } from '../../parts/Page';
import { Network, recorded, type RecordedStatistics } from './Network';
import type { Explanation, JournalEntry, Statistics } from './types';

export function Quality({ journal, sound, statistics }: { journal: JournalEntry[]; sound: Explanation['sound']; statistics: RecordedStatistics | null | undefined }) {
  const { t } = useTranslation();
  const series = useMemo(() => {
    let before: Statistics | null = null;
    const points: { time: string; jitter: number | null; loss: number; mos: number | null; roundTrip: number | null }[] = [];
    for (const entry of journal) {
      if (entry.event.type !== 'rtp_statistics') continue;
      const now = entry.event as unknown as Statistics;
      // Counters only rise: a point is what was lost since the one before.
      const received: number = now.packets_received - (before?.packets_received ?? 0);
      const lost: number = now.packets_lost - (before?.packets_lost ?? 0);
      points.push({ time: clock(entry.at_ms), jitter: now.jitter_ms, loss: received + lost > 0 ? (100 * lost) / (received + lost) : 0, mos: now.mos, roundTrip: now.round_trip_ms });
      before = now;
    }
    return points;
  }, [journal]);
  const times = useMemo(() => series.map((point) => point.time), [series]);
  const mos = useMemo(() => [{ label: 'MOS', color: '#12b886', values: series.map((point) => point.mos) }], [series]);
  const rest = useMemo(
    () => [
      { label: t('calls.call.jitterMs'), color: '#4dabf7', values: series.map((point) => point.jitter) },
      { label: t('calls.call.lossPct'), color: '#fa5252', values: series.map((point) => point.loss) },
      { label: t('calls.call.roundTripMs'), color: '#be4bdb', values: series.map((point) => point.roundTrip) },
    ],
    [series, t],
  );
  if (series.length === 0) return <Empty title={t('calls.call.noRtp')} />;
  const end = sound?.statistics;
  const facts: [string, string][] = end
    ? [
        ['MOS', number(end.mos, 2)],
        [t('calls.call.jitter'), milliseconds(end.jitter_ms)],
        [t('calls.call.lost'), `${number(end.packets_lost)} / ${number(end.packets_received)}`],
        [t('calls.call.concealed'), milliseconds(end.concealed_ms)],
        [t('calls.call.roundTrip'), milliseconds(end.round_trip_ms)],
        ...(end.erle_db == null ? [] : [[t('calls.call.echoReduced'), `${number(end.erle_db, 1)} dB`] as [string, string]]),
        [t('calls.call.sentPackets'), number(end.packets_sent)],
      ]
    : [];
  return (
    <Stack>
      <SimpleGrid cols={{ base: 2, sm: 3 }}>
        {facts.map(([label, value]) => (
          <div key={label}>
            <Text size="xs" c="dimmed">
              {label}
            </Text>
            <Text fw={650}>{value}</Text>
          </div>
        ))}
      </SimpleGrid>
      <Network legs={recorded(statistics)} />
      {sound?.one_way ? <Alert color="orange">{t('calls.call.oneWay')}</Alert> : null}
      <Text size="sm" fw={600}>
        MOS
      </Text>
      <Chart label="MOS" points={times} series={mos} min={1} max={4.6} height={130} />
      <Text size="sm" fw={600}>
        {t('calls.call.lossAndJitter')}
      </Text>
      <Chart label={t('calls.call.lossAndJitter')} points={times} series={rest} height={170} />
    </Stack>
  );
}
