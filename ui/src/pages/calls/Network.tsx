// What the network does to a call, both ways of each leg. Of a running one it is told anew every five seconds.
import { Box, Table, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../../api/client';
import { useLive } from '../../api/live';
import { milliseconds, number } from '../../parts/format';

type Leg = Schemas['LegQualityView'];
type Figure = Schemas['FigureView'];
interface RecordedWay {
  loss: Figure;
  jitter_ms: Figure;
}
interface Recorded {
  received: RecordedWay;
  sent: RecordedWay;
  round_trip_ms: Figure;
  reports: number;
}
/** The counters of a call that is over, as far as they are read here. */
export interface RecordedStatistics {
  rtp?: { quality?: Recorded; mos?: number | null };
  second_legs?: { rtp?: { quality?: Recorded; mos?: number | null } | null }[] | null;
}

function leg(name: string, rtp: { quality?: Recorded; mos?: number | null } | null | undefined): Leg[] {
  if (!rtp?.quality) return [];
  const way = (of: RecordedWay) => ({ loss: of.loss, jitterMs: of.jitter_ms });
  const { received, sent, round_trip_ms: roundTripMs, reports } = rtp.quality;
  return [{ leg: name, received: way(received), sent: way(sent), roundTripMs, reports, mos: rtp.mos }];
}

/** The legs of a call that is over. */
export function recorded(statistics: RecordedStatistics | null | undefined): Leg[] {
  return [...leg('caller', statistics?.rtp), ...(statistics?.second_legs ?? []).flatMap((second) => leg('target', second.rtp))];
}

const percent = (share: number) => `${number(100 * share, 1)} %`;

export function Network({ legs }: { legs: Leg[] }) {
  const { t } = useTranslation();
  if (legs.length === 0) return null;
  const told = (figure: Figure, write: (value: number) => string) =>
    figure.last == null ? '–' : t('calls.network.figure', { last: write(figure.last), worst: write(figure.worst ?? figure.last) });
  const name = (of: Leg) => t(of.leg === 'target' ? 'calls.network.target' : 'calls.network.caller');
  const silent = legs.filter((of) => of.reports === 0);
  const columns: [string, (of: Leg) => string][] = [
    [t('calls.network.roundTrip'), (of) => told(of.roundTripMs, milliseconds)],
    [t('calls.network.lostReceived'), (of) => told(of.received.loss, percent)],
    [t('calls.network.lostSent'), (of) => told(of.sent.loss, percent)],
    [t('calls.network.jitterReceived'), (of) => told(of.received.jitterMs, milliseconds)],
    [t('calls.network.jitterSent'), (of) => told(of.sent.jitterMs, milliseconds)],
  ];
  return (
    <Box role="region" aria-label={t('calls.network.title')}>
      <Text size="xs" c="dimmed">
        {t('calls.network.title')}
      </Text>
      <Table withRowBorders={false} verticalSpacing={2} fz="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Td />
            {legs.map((of, index) => (
              <Table.Th key={index} scope="col">
                {name(of)}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {columns.map(([figure, value]) => (
            <Table.Tr key={figure}>
              <Table.Th scope="row" fw={400}>
                {figure}
              </Table.Th>
              {legs.map((of, index) => (
                <Table.Td key={index}>{value(of)}</Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {silent.length > 0 && (
        <Text size="xs" c="dimmed">
          {t('calls.network.noReports', { who: silent.map(name).join(', ') })}
        </Text>
      )}
    </Box>
  );
}

const NONE: Leg[] = [];

/** Of a call that runs: what was read of it, until it is told anew. */
export function LiveNetwork({ id, read = NONE }: { id: string; read?: Leg[] | undefined }) {
  const [told, setTold] = useState<Leg[] | null>(null);
  useLive(({ kind, data }) => {
    if (kind === 'call.quality' && data.callId === id) setTold(data.legs as Leg[]);
  });
  return <Network legs={told ?? read} />;
}
