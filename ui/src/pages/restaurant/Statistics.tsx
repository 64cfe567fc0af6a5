import { ActionIcon, Group, Progress, SegmentedControl, SimpleGrid, Stack, Text } from '@mantine/core';
import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useBack, type Restaurant } from '../../api/restaurant';
import { Chart } from '../../parts/Chart';
import { day, duration, isoDay, money, number } from '../../parts/format';
import { Answered, Page } from '../../parts/Page';
import { useUrlState } from '../../parts/useUrlState';
import classes from './Restaurant.module.css';
import { WithRestaurant } from './useRestaurant';

interface Sums {
  calls: number;
  durationSec: number;
  cost: number;
  orders: number;
  revenue: number;
  reservations: number;
  covers: number;
  messages: number;
}

interface Stats {
  period: string;
  from: string;
  to: string;
  currency: string;
  timezone: string;
  totals: Sums;
  kpis: { uniqueCallers: number; avgCallDuration: number };
  outcomes: Record<string, number>;
  orderTypes: Record<string, number>;
  topItems: { name: string; quantity: number; revenue: number }[];
  buckets: (Sums & { bucket: string })[];
}

export function Statistics() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.statistics.title')}>{(house, picker) => <Figures key={house.id} house={house} picker={picker} />}</WithRestaurant>;
}

function Figures({ house, picker }: { house: Restaurant; picker: React.ReactNode }) {
  const { t } = useTranslation();
  const [period, setPeriod] = useUrlState('period', 'week');
  const [date, setDate] = useUrlState('date', isoDay(new Date()));
  const stats = useBack<Stats>('/stats', { restaurantId: house.id, period, date });
  const move = (by: number) => {
    const [year, month, of] = date.split('-').map(Number);
    const at = new Date(year ?? 2026, (month ?? 1) - 1, of ?? 1);
    if (period === 'month') at.setMonth(at.getMonth() + by, 1);
    else at.setDate(at.getDate() + by * (period === 'week' ? 7 : 1));
    setDate(isoDay(at));
  };
  return (
    <Page
      wide
      title={t('restaurant.statistics.title')}
      intro={stats.data ? t('restaurant.statistics.span', { from: day(stats.data.from, { day: 'numeric', month: 'long', timeZone: stats.data.timezone }), to: day(new Date(Date.parse(stats.data.to) - 1), { day: 'numeric', month: 'long', year: 'numeric', timeZone: stats.data.timezone }) }) : undefined}
      actions={
        <>
          {picker}
          <SegmentedControl value={period} onChange={setPeriod} aria-label={t('restaurant.statistics.period')} data={(['day', 'week', 'month'] as const).map((value) => ({ value, label: t(`restaurant.statistics.periods.${value}`) }))} />
          <ActionIcon variant="default" size={36} aria-label={t('restaurant.statistics.before')} onClick={() => move(-1)}>
            <IconChevronLeft size={18} />
          </ActionIcon>
          <ActionIcon variant="default" size={36} aria-label={t('restaurant.statistics.after')} onClick={() => move(1)}>
            <IconChevronRight size={18} />
          </ActionIcon>
        </>
      }
    >
      <Answered query={stats}>{(all) => <Shown stats={all} />}</Answered>
    </Page>
  );
}

function Shown({ stats }: { stats: Stats }) {
  const { t } = useTranslation();
  const facts: [string, string][] = [
    [t('restaurant.statistics.calls'), number(stats.totals.calls)],
    [t('restaurant.statistics.callers'), number(stats.kpis.uniqueCallers)],
    [t('restaurant.statistics.average'), duration(stats.kpis.avgCallDuration)],
    [t('restaurant.statistics.orders'), number(stats.totals.orders)],
    [t('restaurant.statistics.revenue'), money(stats.totals.revenue, stats.currency, 2)],
    [t('restaurant.statistics.reservations'), number(stats.totals.reservations)],
    [t('restaurant.statistics.covers'), number(stats.totals.covers)],
    [t('restaurant.statistics.cost'), money(stats.totals.cost, stats.currency)],
  ];
  const points = useMemo(() => stats.buckets.map((one) => (stats.period === 'day' ? one.bucket : day(`${one.bucket}T12:00`, { weekday: 'short', day: 'numeric' }))), [stats]);
  const series = (label: string, color: string, of: (one: Sums) => number) => [{ label, color, values: stats.buckets.map(of) }];
  const calls = useMemo(() => series(t('restaurant.statistics.calls'), '#0f766e', (one) => one.calls), [stats, t]); // eslint-disable-line react-hooks/exhaustive-deps
  const revenue = useMemo(() => series(t('restaurant.statistics.revenue'), '#3b5bdb', (one) => one.revenue), [stats, t]); // eslint-disable-line react-hooks/exhaustive-deps
  const shares = (title: string, values: Record<string, number>, label: (name: string) => string) => {
    const sum = Object.values(values).reduce((all, one) => all + one, 0);
    return (
      <div>
        <Text fw={650} mb="xs" component="h2" size="md">
          {title}
        </Text>
        {sum === 0 && (
          <Text size="sm" c="dimmed">
            {t('restaurant.statistics.nothing')}
          </Text>
        )}
        <Stack gap="xs">
          {Object.entries(values)
            .sort((a, b) => b[1] - a[1])
            .map(([name, value]) => (
              <div key={name}>
                <Group justify="space-between">
                  <Text size="sm">{label(name)}</Text>
                  <Text size="sm" fw={600}>
                    {number(value)} · {number((100 * value) / sum)} %
                  </Text>
                </Group>
                <Progress value={(100 * value) / sum} size={8} aria-label={label(name)} />
              </div>
            ))}
        </Stack>
      </div>
    );
  };
  return (
    <Stack gap="lg">
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        {facts.map(([label, value]) => (
          <div key={label} className={classes.kpi}>
            <Text size="sm" c="dimmed">
              {label}
            </Text>
            <Text fw={700} size="xl">
              {value}
            </Text>
          </div>
        ))}
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="lg">
        <div className={classes.kpi}>
          <Text fw={650} component="h2" size="md">
            {t('restaurant.statistics.calls')}
          </Text>
          <Chart label={t('restaurant.statistics.calls')} points={points} series={calls} bars height={210} />
        </div>
        <div className={classes.kpi}>
          <Text fw={650} component="h2" size="md">
            {t('restaurant.statistics.revenue')} ({stats.currency})
          </Text>
          <Chart label={t('restaurant.statistics.revenue')} points={points} series={revenue} bars height={210} />
        </div>
        <div className={classes.kpi}>{shares(t('restaurant.statistics.outcomes'), stats.outcomes, (name) => t(`calls.outcomes.${name}` as 'calls.outcomes.completed', { defaultValue: name }))}</div>
        <div className={classes.kpi}>
          {shares(t('restaurant.statistics.types'), stats.orderTypes, (name) => t(`restaurant.orderTypes.${name}` as 'restaurant.orderTypes.pickup', { defaultValue: name }))}
          <Text fw={650} mt="lg" mb="xs" component="h2" size="md">
            {t('restaurant.statistics.top')}
          </Text>
          <Stack gap={4}>
            {stats.topItems.length === 0 && (
              <Text size="sm" c="dimmed">
                {t('restaurant.statistics.nothing')}
              </Text>
            )}
            {stats.topItems.map((one) => (
              <Group key={one.name} justify="space-between">
                <Text size="sm">
                  {one.quantity} × {one.name}
                </Text>
                <Text size="sm" fw={600}>
                  {money(one.revenue, stats.currency)}
                </Text>
              </Group>
            ))}
          </Stack>
        </div>
      </SimpleGrid>
    </Stack>
  );
}
