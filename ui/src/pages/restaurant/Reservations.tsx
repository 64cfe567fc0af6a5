// Reservations of a day, by hour, with what becomes of each.
import { ActionIcon, Badge, Button, Drawer, Group, Menu, Select, Stack, Text, TextInput } from '@mantine/core';
import { IconArmchair, IconCalendarEvent, IconCheck, IconChevronLeft, IconChevronRight, IconDots, IconEdit, IconPlus, IconUserX, IconX } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { back, useBack, useHappenings, type Restaurant } from '../../api/restaurant';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { DataTable } from '../../parts/DataTable';
import { day, isoDay, phone, time } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { SpecForm, type FormValues } from '../../parts/SpecForm';
import { StateBadge, type Tone } from '../../parts/StateBadge';
import { useUrlState } from '../../parts/useUrlState';
import { WithRestaurant } from './useRestaurant';

interface Reservation {
  id: string;
  customerName?: string | null;
  customerPhone: string;
  partySize: number;
  reservationTime: string;
  endTime: string;
  durationMin?: number | null;
  status: 'pending' | 'confirmed' | 'seated' | 'completed' | 'cancelled' | 'no_show';
  seatingPreference?: string | null;
  notes?: string | null;
  tableIds?: string[];
  callId?: string | null;
}

interface TableRow {
  id: string;
  tableNumber: string;
  seats: number;
  diningRoomId?: string | null;
}

const TONE: Record<Reservation['status'], Tone> = { pending: 'warn', confirmed: 'good', seated: 'wait', completed: 'off', cancelled: 'off', no_show: 'bad' };
const SEATING = ['window', 'outdoor', 'large_table', 'quiet', 'bar'] as const;

export function Reservations() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.reservations.title')}>{(house, picker) => <Day key={house.id} house={house} picker={picker} />}</WithRestaurant>;
}

function Day({ house, picker }: { house: Restaurant; picker: React.ReactNode }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const today = isoDay(new Date());
  const [date, setDate] = useUrlState('date', today);
  const [room, setRoom] = useUrlState('room');
  const [editing, setEditing] = useState<Reservation | 'new' | null>(null);
  const list = useBack<Reservation[]>('/reservations', { restaurantId: house.id, date });
  const tables = useBack<TableRow[]>('/tables', { restaurantId: house.id });
  const rooms = useBack<{ id: string; name: string }[]>('/rooms', { restaurantId: house.id });
  useHappenings(house.id, () => undefined);
  const stale = [['back', '/reservations']];
  const change = useAction(({ id, status }: { id: string; status: Reservation['status'] }) => back.patch('/reservations', { id, status }), {
    stale,
    done: (_, { status }) => t('restaurant.reservations.now', { state: t(`restaurant.reservationStates.${status}`) }),
  });
  const save = useAction(
    (values: FormValues) => {
      const { at, ...rest } = values;
      const sent = { ...rest, reservationTime: at ? new Date(String(at)).toISOString() : undefined };
      return editing === 'new' || editing === null ? back.post('/reservations', { restaurantId: house.id, status: 'confirmed', ...sent }) : back.patch('/reservations', { id: editing.id, ...sent });
    },
    { stale, done: t('restaurant.reservations.saved'), quiet: true },
  );
  const mayWork = may('operator');
  const byId = useMemo(() => new Map((tables.data ?? []).map((one) => [one.id, one])), [tables.data]);
  const tablesOf = (one: Reservation) => (one.tableIds ?? []).map((id) => byId.get(id)).filter((table) => table !== undefined);
  const move = (days: number) => {
    const [year, month, of] = date.split('-').map(Number);
    setDate(isoDay(new Date(year ?? 2026, (month ?? 1) - 1, (of ?? 1) + days)));
  };
  const rows = (list.data ?? []).filter((one) => !room || tablesOf(one).some((table) => table.diningRoomId === room));
  const alive = rows.filter((one) => ['pending', 'confirmed', 'seated'].includes(one.status));
  const covers = alive.reduce((sum, one) => sum + one.partySize, 0);
  const local = (iso: string) => {
    const at = new Date(iso);
    return `${isoDay(at)}T${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`;
  };

  return (
    <Page
      wide
      title={t('restaurant.reservations.title')}
      intro={`${day(`${date}T12:00`)} · ${t('restaurant.reservations.summary', { count: alive.length, covers })}`}
      actions={
        <>
          {picker}
          {mayWork && (
            <Button leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
              {t('restaurant.reservations.add')}
            </Button>
          )}
        </>
      }
    >
      <Group mb="md" gap="xs" align="flex-end">
        <ActionIcon variant="default" size={36} aria-label={t('restaurant.reservations.before')} onClick={() => move(-1)}>
          <IconChevronLeft size={18} />
        </ActionIcon>
        <TextInput type="date" aria-label={t('restaurant.reservations.day')} value={date} onChange={(event) => event.currentTarget.value && setDate(event.currentTarget.value)} />
        <ActionIcon variant="default" size={36} aria-label={t('restaurant.reservations.after')} onClick={() => move(1)}>
          <IconChevronRight size={18} />
        </ActionIcon>
        <Button variant="default" onClick={() => setDate(today)} disabled={date === today}>
          {t('restaurant.reservations.today')}
        </Button>
        {(rooms.data?.length ?? 0) > 1 && (
          <Select placeholder={t('restaurant.reservations.allRooms')} aria-label={t('restaurant.reservations.room')} data={(rooms.data ?? []).map((one) => ({ value: one.id, label: one.name }))} value={room || null} onChange={(value) => setRoom(value ?? '')} clearable clearButtonProps={{ 'aria-label': t('common.clear') }} />
        )}
      </Group>
      <Answered query={{ ...list, data: list.data && rows }} empty={<Empty icon={IconCalendarEvent} title={t('restaurant.reservations.empty')}>{t('restaurant.reservations.emptyHint')}</Empty>}>
        {(all) => (
          <DataTable
            rows={all}
            rowId={(one) => one.id}
            nameOf={(one) => one.customerName ?? one.customerPhone}
            label={t('restaurant.reservations.title')}
            sorting={{ id: 'time', desc: false }}
            columns={[
              { id: 'time', header: t('restaurant.reservations.time'), sort: (one) => one.reservationTime, cell: (one) => <Text fw={700}>{time(one.reservationTime, house.timezone)}</Text> },
              {
                id: 'name',
                header: t('common.name'),
                title: true,
                sort: (one) => one.customerName ?? '',
                cell: (one) => (
                  <Stack gap={0}>
                    <Text size="sm" fw={600}>
                      {one.customerName ?? '–'}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {phone(one.customerPhone)}
                    </Text>
                  </Stack>
                ),
              },
              { id: 'party', header: t('restaurant.reservations.party'), right: true, sort: (one) => one.partySize, cell: (one) => <Badge size="lg" color="gray">{one.partySize}</Badge> },
              { id: 'tables', header: t('restaurant.reservations.tables'), cell: (one) => tablesOf(one).map((table) => table.tableNumber).join(' + ') || '–' },
              { id: 'state', header: t('restaurant.state'), sort: (one) => one.status, cell: (one) => <StateBadge tone={TONE[one.status]}>{t(`restaurant.reservationStates.${one.status}`)}</StateBadge> },
              {
                id: 'notes',
                header: t('restaurant.notes'),
                cell: (one) => (
                  <Stack gap={0}>
                    {one.seatingPreference && <Text size="sm">{t(`restaurant.seating.${one.seatingPreference}` as 'restaurant.seating.window')}</Text>}
                    <Text size="sm">{one.notes}</Text>
                    {one.callId && (
                      <Text size="xs" component={Link} to={`/calls/${one.callId}`}>
                        {t('restaurant.service.listen')}
                      </Text>
                    )}
                  </Stack>
                ),
              },
            ]}
            actions={
              mayWork
                ? (one) => (
                    <>
                      {one.status === 'pending' && <Button size="xs" onClick={() => change.mutate({ id: one.id, status: 'confirmed' })}>{t('restaurant.reservations.confirm')}</Button>}
                      {one.status === 'confirmed' && <Button size="xs" leftSection={<IconArmchair size={14} />} onClick={() => change.mutate({ id: one.id, status: 'seated' })}>{t('restaurant.reservations.seat')}</Button>}
                      {one.status === 'seated' && <Button size="xs" variant="default" leftSection={<IconCheck size={14} />} onClick={() => change.mutate({ id: one.id, status: 'completed' })}>{t('restaurant.reservations.finish')}</Button>}
                      <Menu position="bottom-end">
                        <Menu.Target>
                          <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('restaurant.reservations.moreFor', { name: one.customerName ?? one.customerPhone })}>
                            <IconDots size={18} />
                          </ActionIcon>
                        </Menu.Target>
                        <Menu.Dropdown>
                          <Menu.Item leftSection={<IconEdit size={16} />} onClick={() => setEditing(one)}>
                            {t('common.edit')}
                          </Menu.Item>
                          {['pending', 'confirmed'].includes(one.status) && (
                            <>
                              <Menu.Item leftSection={<IconUserX size={16} />} onClick={() => change.mutate({ id: one.id, status: 'no_show' })}>
                                {t('restaurant.reservations.noShow')}
                              </Menu.Item>
                              <Menu.Item color="red" leftSection={<IconX size={16} />} onClick={() => change.mutate({ id: one.id, status: 'cancelled' })}>
                                {t('restaurant.reservations.cancel')}
                              </Menu.Item>
                            </>
                          )}
                        </Menu.Dropdown>
                      </Menu>
                    </>
                  )
                : undefined
            }
          />
        )}
      </Answered>
      <Drawer opened={editing !== null} onClose={() => setEditing(null)} position="right" title={editing === 'new' ? t('restaurant.reservations.add') : t('common.edit')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {editing !== null && (
          <SpecForm
            submit={t('common.save')}
            busy={save.isPending}
            error={save.error}
            onCancel={() => setEditing(null)}
            onSubmit={(values) => save.mutate(values, { onSuccess: () => setEditing(null) })}
            initial={editing === 'new' ? { partySize: 2, at: `${date}T20:00` } : { ...editing, at: local(editing.reservationTime) }}
            fields={[
              { name: 'at', label: t('restaurant.reservations.when'), kind: 'datetime-local', required: true },
              { name: 'partySize', label: t('restaurant.reservations.party'), kind: 'number', min: 1, max: 200, required: true },
              { name: 'customerName', label: t('common.name'), required: true },
              { name: 'customerPhone', label: t('restaurant.phone'), kind: 'tel', required: true },
              { name: 'seatingPreference', label: t('restaurant.reservations.seatingWish'), kind: 'select', options: SEATING.map((value) => ({ value, label: t(`restaurant.seating.${value}`) })) },
              { name: 'notes', label: t('restaurant.notes'), kind: 'area' },
            ]}
          />
        )}
      </Drawer>
    </Page>
  );
}
