// The service board: orders by state, one tap forward, ten seconds to take it back; a sound until somebody has seen the new ones.
import { Alert, Anchor, Badge, Box, Button, Card, Group, Kbd, Stack, Text } from '@mantine/core';
import { useHotkeys, useInterval } from '@mantine/hooks';
import { IconAlertTriangle, IconArrowRight, IconBellRinging, IconMoped, IconPaperBag, IconPrinter, IconToolsKitchen2, IconVolume } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNow } from '../../api/live';
import { back, useBack, useHappenings, type Restaurant } from '../../api/restaurant';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { money, phone, time } from '../../parts/format';
import { Answered, Page } from '../../parts/Page';
import { overlays } from '../../shell/overlays';
import classes from './Restaurant.module.css';
import { WithRestaurant } from './useRestaurant';

interface OrderLine {
  id: string;
  name: string;
  quantity: number;
  notes?: string | null;
  selectedOptions?: { name?: string; choice?: string }[] | null;
}

interface Order {
  id: string;
  orderNumber: number;
  status: 'pending' | 'confirmed' | 'preparing' | 'ready' | 'delivering' | 'completed' | 'cancelled';
  orderType: 'pickup' | 'delivery' | 'dine_in';
  customerId?: string | null;
  customerName?: string | null;
  customerPhone?: string | null;
  callId?: string | null;
  total: number;
  deliveryAddress?: string | null;
  estimatedReadyAt?: string | null;
  notes?: string | null;
  paymentMethod: string;
  createdAt: string;
  updatedAt: string;
  items: OrderLine[];
}

const COLUMNS = ['new', 'kitchen', 'ready', 'done'] as const;
type ColumnName = (typeof COLUMNS)[number];
const COLUMN_OF: Record<Order['status'], ColumnName | null> = { pending: 'new', confirmed: 'new', preparing: 'kitchen', ready: 'ready', delivering: 'done', completed: 'done', cancelled: null };
/** Minutes before the promised time from which a card warns. */
const SOON_MIN = 5;
const UNDO_MS = 10_000;
/** Handed-over orders that stay on the board. */
const DONE_SHOWN = 12;
const DONE_HOURS = 12;

function next(order: Order): Order['status'] | null {
  switch (order.status) {
    case 'pending':
    case 'confirmed':
      return 'preparing';
    case 'preparing':
      return 'ready';
    case 'ready':
      return order.orderType === 'delivery' ? 'delivering' : 'completed';
    case 'delivering':
      return 'completed';
    default:
      return null;
  }
}

/** Two short notes, louder each time until the order is seen. */
function chime(context: AudioContext, volume: number) {
  for (const [at, hz] of [[0, 880], [0.18, 1175]] as const) {
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.frequency.value = hz;
    gain.gain.setValueAtTime(volume, context.currentTime + at);
    gain.gain.exponentialRampToValueAtTime(0.001, context.currentTime + at + 0.16);
    tone.connect(gain).connect(context.destination);
    tone.start(context.currentTime + at);
    tone.stop(context.currentTime + at + 0.18);
  }
}

export function Service() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.service.title')}>{(house, picker) => <Board key={house.id} house={house} picker={picker} />}</WithRestaurant>;
}

function Board({ house, picker }: { house: Restaurant; picker: React.ReactNode }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const queries = useQueryClient();
  const now = useNow(10_000);
  const orders = useBack<Order[]>('/orders', { restaurantId: house.id });
  const customers = useBack<{ id: string; allergies?: string[]; firstName?: string | null }[]>('/customers', { restaurantId: house.id });
  const [unseen, setUnseen] = useState<Set<string>>(new Set());
  const sound = useRef<AudioContext | null>(null);
  const [onDuty, setOnDuty] = useState(false);
  const rings = useRef(0);
  const mayWork = may('operator');

  useHappenings(house.id, (kind, data) => {
    if (kind !== 'order.created') return;
    const id = (data as { id?: string } | null)?.id;
    if (id) setUnseen((old) => new Set(old).add(id));
  });
  const alarm = useInterval(() => {
    if (sound.current && unseen.size > 0) {
      rings.current += 1;
      chime(sound.current, Math.min(0.9, 0.15 + rings.current * 0.08));
    }
  }, 4000);
  useEffect(() => {
    if (unseen.size > 0 && onDuty) {
      if (sound.current) chime(sound.current, 0.15);
      alarm.start();
    } else {
      rings.current = 0;
      alarm.stop();
    }
    return alarm.stop;
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the interval is the same object each time
  }, [unseen.size, onDuty]);

  /** A browser sounds only after a touch; the screen of the kitchen stays on. */
  async function begin() {
    sound.current = new AudioContext();
    chime(sound.current, 0.3);
    setOnDuty(true);
    try {
      await navigator.wakeLock?.request('screen');
    } catch {
      // A browser without it lets the screen sleep.
    }
  }

  const move = useAction(({ order, to }: { order: Order; to: Order['status'] }) => back.patch('/orders', { id: order.id, status: to }), { stale: [['back', '/orders']] });
  const see = useCallback((id: string) => setUnseen((old) => new Set([...old].filter((one) => one !== id))), []);

  const forward = useCallback(
    (order: Order) => {
      const to = next(order);
      if (!to || !mayWork) return;
      const before = order.status;
      see(order.id);
      // The card moves at once; the answer of the server confirms it.
      queries.setQueryData<Order[]>(['back', '/orders', { restaurantId: house.id }], (old) => old?.map((one) => (one.id === order.id ? { ...one, status: to } : one)));
      move.mutate({ order, to });
      const note = `order-${order.id}`;
      void overlays().then(({ notifications }) => {
        notifications.hide(note);
        notifications.show({
          id: note,
          autoClose: UNDO_MS,
          closeButtonProps: { 'aria-label': t('common.close') },
          message: (
            <Group justify="space-between" wrap="nowrap">
              <Text size="sm">{t('restaurant.service.moved', { number: order.orderNumber, state: t(`restaurant.orderStates.${to}`) })}</Text>
              <Button
                size="compact-sm"
                variant="light"
                onClick={() => {
                  move.mutate({ order, to: before });
                  notifications.hide(note);
                }}
              >
                {t('restaurant.service.undo')}
              </Button>
            </Group>
          ),
        });
      });
    },
    [house.id, mayWork, move, queries, see, t],
  );

  const columns = useMemo(() => {
    const sorted: Record<ColumnName, Order[]> = { new: [], kitchen: [], ready: [], done: [] };
    for (const order of orders.data ?? []) {
      const column = COLUMN_OF[order.status];
      if (!column) continue;
      if (column === 'done' && Date.now() - Date.parse(order.updatedAt) > DONE_HOURS * 3_600_000) continue;
      sorted[column].push(order);
    }
    const promised = (order: Order) => Date.parse(order.estimatedReadyAt ?? order.createdAt);
    for (const column of ['new', 'kitchen', 'ready'] as const) sorted[column].sort((a, b) => promised(a) - promised(b));
    sorted.done.sort((a, b) => b.updatedAt.localeCompare(a.updatedAt));
    sorted.done = sorted.done.slice(0, DONE_SHOWN);
    return sorted;
  }, [orders.data]);
  const open = [...columns.new, ...columns.kitchen, ...columns.ready];
  const numbers = new Map(open.slice(0, 9).map((order, index) => [order.id, index + 1]));
  useHotkeys(Array.from({ length: 9 }, (_, index): [string, () => void] => [String(index + 1), () => open[index] && forward(open[index])]));
  const allergies = useMemo(() => new Map((customers.data ?? []).map((one) => [one.id, one.allergies ?? []])), [customers.data]);

  return (
    <Page
      wide
      title={t('restaurant.service.title')}
      intro={open.length > 0 ? t('restaurant.service.summary', { count: open.length }) : t('restaurant.service.allServed')}
      actions={
        <>
          {picker}
          {onDuty ? (
            <Badge size="lg" color="allo" leftSection={<IconVolume size={14} />}>
              {t('restaurant.service.onDuty')}
            </Badge>
          ) : (
            <Button leftSection={<IconBellRinging size={16} />} onClick={() => void begin()}>
              {t('restaurant.service.begin')}
            </Button>
          )}
        </>
      }
    >
      {unseen.size > 0 && (
        <Alert color="orange" icon={<IconBellRinging />} mb="md" role="alert" title={t('restaurant.service.newOrders', { count: unseen.size })}>
          <Button size="xs" onClick={() => setUnseen(new Set())}>
            {t('restaurant.service.seen')}
          </Button>
        </Alert>
      )}
      <Answered query={orders} isEmpty={() => false}>
        {() => (
          <div className={classes.board}>
            {COLUMNS.map((column) => (
              <section key={column} aria-label={t(`restaurant.columns.${column}`)} className={classes.column}>
                <Group justify="space-between" mb="xs">
                  <Text component="h2" fw={650}>
                    {t(`restaurant.columns.${column}`)}
                  </Text>
                  <Badge color={column === 'new' && columns.new.length > 0 ? 'orange' : 'gray'} size="lg">
                    {columns[column].length}
                  </Badge>
                </Group>
                <Stack gap="sm">
                  {columns[column].length === 0 && (
                    <Text size="sm" c="dimmed" py="md" ta="center">
                      {t(`restaurant.columnEmpty.${column}`)}
                    </Text>
                  )}
                  {columns[column].map((order) => (
                    <Ticket
                      key={order.id}
                      order={order}
                      now={now}
                      digit={numbers.get(order.id)}
                      isNew={unseen.has(order.id)}
                      allergies={order.customerId ? (allergies.get(order.customerId) ?? []) : []}
                      zone={house.timezone}
                      currency={house.currency}
                      forward={mayWork && next(order) ? () => forward(order) : undefined}
                    />
                  ))}
                </Stack>
              </section>
            ))}
          </div>
        )}
      </Answered>
    </Page>
  );
}

const TYPE_ICON = { pickup: IconPaperBag, delivery: IconMoped, dine_in: IconToolsKitchen2 };

function Ticket({ order, now, digit, isNew, allergies, zone, currency, forward }: { order: Order; now: number; digit?: number; isNew: boolean; allergies: string[]; zone: string; currency: string; forward?: () => void }) {
  const { t } = useTranslation();
  const due = order.estimatedReadyAt ? Math.round((Date.parse(order.estimatedReadyAt) - now) / 60_000) : null;
  const open = !['delivering', 'completed'].includes(order.status);
  const late = open && due !== null && due < 0 && order.status !== 'ready';
  const soon = open && due !== null && due >= 0 && due <= SOON_MIN && order.status !== 'ready';
  const Kind = TYPE_ICON[order.orderType];
  const to = next(order);
  return (
    <Card withBorder radius="md" padding="sm" className={classes.ticket} data-late={late || undefined} data-soon={soon || undefined} data-new={isNew || undefined} component="article" aria-label={t('restaurant.service.order', { number: order.orderNumber })}>
      <Group justify="space-between" gap={6}>
        <Group gap={8} wrap="nowrap">
          <Text fw={750} size="xl">
            {order.orderNumber}
          </Text>
          <Badge color="gray" leftSection={<Kind size={13} aria-hidden />}>
            {t(`restaurant.orderTypes.${order.orderType}`)}
          </Badge>
        </Group>
        <Group gap={6} wrap="nowrap">
          {late && (
            <Badge color="red" size="lg" leftSection={<IconAlertTriangle size={13} aria-hidden />}>
              {t('restaurant.service.late', { minutes: -(due ?? 0) })}
            </Badge>
          )}
          {soon && (
            <Badge color="orange" size="lg">
              {t('restaurant.service.soon', { minutes: due })}
            </Badge>
          )}
          {order.estimatedReadyAt && (
            <Text fw={650} size="lg">
              {time(order.estimatedReadyAt, zone)}
            </Text>
          )}
        </Group>
      </Group>
      {(allergies.length > 0 || /allerg/i.test(order.notes ?? '')) && (
        <Box className={classes.allergy} my={6}>
          <IconAlertTriangle size={16} aria-hidden /> <b>{t('restaurant.service.allergies')}</b> {allergies.join(', ')} {/allerg/i.test(order.notes ?? '') ? order.notes : ''}
        </Box>
      )}
      <ul className={classes.items}>
        {order.items.map((line) => (
          <li key={line.id}>
            <Text fw={650} span>
              {line.quantity} × {line.name}
            </Text>
            {(line.selectedOptions ?? []).length > 0 && (
              <Text size="sm" fw={600} className={classes.options}>
                {(line.selectedOptions ?? []).map((one) => one.choice ?? one.name).join(' · ')}
              </Text>
            )}
            {line.notes && (
              <Text size="sm" fs="italic">
                {line.notes}
              </Text>
            )}
          </li>
        ))}
      </ul>
      {order.notes && !/allerg/i.test(order.notes) && (
        <Text size="sm" fs="italic">
          {order.notes}
        </Text>
      )}
      <Text size="sm" c="dimmed">
        {[order.customerName, order.customerPhone ? phone(order.customerPhone) : null, order.deliveryAddress].filter(Boolean).join(' · ')}
      </Text>
      <Group gap="xs" mt={4} mb={8}>
        <Text size="sm" fw={600}>
          {money(order.total, currency)}
        </Text>
        <Badge color="gray">{t(`restaurant.payments.${order.paymentMethod}` as 'restaurant.payments.cash', { defaultValue: order.paymentMethod })}</Badge>
        {order.callId && (
          <Anchor component={Link} to={`/calls/${order.callId}`} size="sm">
            {t('restaurant.service.listen')}
          </Anchor>
        )}
        <Anchor href={back.address(`/orders/${order.id}/ticket`, { format: 'html' })} target="_blank" rel="noreferrer" size="sm" aria-label={t('restaurant.service.ticketOf', { number: order.orderNumber })}>
          <IconPrinter size={16} />
        </Anchor>
      </Group>
      {forward && to && (
        <Button size="md" fullWidth onClick={forward} rightSection={<IconArrowRight size={16} />} leftSection={digit ? <Kbd size="xs">{digit}</Kbd> : undefined}>
          {t(`restaurant.forward.${to}` as 'restaurant.forward.preparing')}
        </Button>
      )}
    </Card>
  );
}
