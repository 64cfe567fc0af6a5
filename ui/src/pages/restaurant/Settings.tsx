// What a restaurant is made of, beside its menu and its hours: identity, orders, reservations, rooms and tables, services, telephone, notices.
import { Card, Tabs } from '@mantine/core';
import { IconArmchair } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { back, useBack, type Restaurant } from '../../api/restaurant';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { Answered, Page } from '../../parts/Page';
import { SpecForm, type Field, type FormValues } from '../../parts/SpecForm';
import { StateBadge } from '../../parts/StateBadge';
import { useUrlState } from '../../parts/useUrlState';
import { VOICES } from '../agents/types';
import { WithRestaurant } from './useRestaurant';

const TABS = ['house', 'orders', 'bookings', 'tables', 'services', 'telephone', 'notices'] as const;

export function RestaurantSettings() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.settings.title')}>{(house, picker) => <Sections key={house.id} house={house} picker={picker} />}</WithRestaurant>;
}

function Sections({ house, picker }: { house: Restaurant; picker: ReactNode }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const [tab, setTab] = useUrlState('tab', 'house');
  const mayChange = may('admin');
  const forms: Partial<Record<(typeof TABS)[number], Field[]>> = {
    house: [
      { name: 'name', label: t('common.name'), required: true },
      { name: 'cuisineType', label: t('restaurant.settings.cuisine') },
      { name: 'address', label: t('restaurant.settings.address') },
      { name: 'postalCode', label: t('restaurant.settings.postal') },
      { name: 'city', label: t('restaurant.customers.city') },
      { name: 'phone', label: t('restaurant.phone'), kind: 'tel' },
      { name: 'email', label: t('common.email'), kind: 'email' },
      { name: 'timezone', label: t('agents.editor.timezone'), required: true },
      { name: 'aiVoice', label: t('agents.editor.voice'), kind: 'select', options: VOICES.map((value) => ({ value, label: value })) },
      { name: 'welcomeMessage', label: t('restaurant.settings.welcome'), kind: 'area', hint: t('restaurant.settings.welcomeHint') },
      { name: 'aiInstructions', label: t('restaurant.settings.instructions'), kind: 'area', hint: t('restaurant.settings.instructionsHint') },
      { name: 'recordingEnabled', label: t('restaurant.settings.recording'), hint: t('restaurant.settings.recordingHint'), kind: 'switch' },
      { name: 'consentAnnouncement', label: t('restaurant.settings.consent'), hint: t('restaurant.settings.consentHint'), kind: 'area' },
      { name: 'isActive', label: t('restaurant.settings.active'), kind: 'switch' },
    ],
    orders: [
      { name: 'deliveryEnabled', label: t('restaurant.settings.delivery'), kind: 'switch' },
      { name: 'orderStatusEnabled', label: t('restaurant.settings.orderStatus'), kind: 'switch' },
      { name: 'deliveryRadiusKm', label: t('restaurant.settings.radius'), kind: 'number', min: 0, decimals: 1, suffix: ' km' },
      { name: 'deliveryFee', label: t('restaurant.settings.fee'), kind: 'number', min: 0, decimals: 2, suffix: ` ${house.currency}` },
      { name: 'deliveryFreeAbove', label: t('restaurant.settings.freeAbove'), kind: 'number', min: 0, decimals: 2, suffix: ` ${house.currency}` },
      { name: 'minOrderAmount', label: t('restaurant.settings.minimum'), kind: 'number', min: 0, decimals: 2, suffix: ` ${house.currency}` },
      { name: 'avgPrepTimeMin', label: t('restaurant.settings.prep'), kind: 'number', min: 1, max: 600, suffix: ' min' },
      { name: 'kitchenCapacity', label: t('restaurant.settings.capacity'), hint: t('restaurant.settings.capacityHint'), kind: 'number', min: 1 },
    ],
    bookings: [
      { name: 'reservationEnabled', label: t('restaurant.settings.bookings'), kind: 'switch', wide: true },
      { name: 'totalSeats', label: t('restaurant.settings.seats'), hint: t('restaurant.settings.seatsHint'), kind: 'number', min: 0 },
      { name: 'avgMealDurationMin', label: t('restaurant.settings.meal'), kind: 'number', min: 10, suffix: ' min' },
      { name: 'minReservationAdvanceMin', label: t('restaurant.settings.advanceMin'), kind: 'number', min: 0, suffix: ' min' },
      { name: 'maxReservationAdvanceDays', label: t('restaurant.settings.advanceMax'), kind: 'number', min: 0, suffix: ` ${t('common.dayShort')}` },
      { name: 'cancellationDelayHours', label: t('restaurant.settings.cancelUntil'), kind: 'number', min: 0, suffix: ' h' },
      { name: 'reminderHoursBefore', label: t('restaurant.settings.reminder'), hint: t('restaurant.settings.zeroOff'), kind: 'number', min: 0, suffix: ' h' },
    ],
  };
  const save = useAction((values: FormValues) => back.patch('/restaurants', { id: house.id, ...values }), { stale: [['back']], done: t('restaurant.settings.saved'), quiet: true });
  return (
    <Page wide title={t('restaurant.settings.title')} intro={t('restaurant.settings.intro', { name: house.name })} actions={picker}>
      <Tabs value={tab} onChange={(value) => setTab(value ?? 'house')} keepMounted={false}>
        <Tabs.List mb="md">
          {TABS.map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`restaurant.settings.tabs.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {(['house', 'orders', 'bookings'] as const).map((one) => (
          <Tabs.Panel key={one} value={one}>
            <Card withBorder radius="md" padding="lg" maw={860}>
              <fieldset disabled={!mayChange} className="plain-fieldset">
                <SpecForm key={String(house.updatedAt)} fields={forms[one] ?? []} initial={house} submit={t('common.save')} busy={save.isPending} error={save.error} onSubmit={(values) => save.mutate(values)} />
              </fieldset>
            </Card>
          </Tabs.Panel>
        ))}
        <Tabs.Panel value="tables">
          <Tables house={house} mayChange={mayChange} />
        </Tabs.Panel>
        <Tabs.Panel value="services">
          <Services house={house} mayChange={mayChange} />
        </Tabs.Panel>
        <Tabs.Panel value="telephone">
          <Telephone house={house} mayChange={mayChange} />
        </Tabs.Panel>
        <Tabs.Panel value="notices">
          <Notices house={house} mayChange={mayChange} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

interface Row {
  id: string;
  name?: string;
  isActive: boolean;
  [field: string]: unknown;
}

function useRows(path: string, house: Restaurant) {
  const { t } = useTranslation();
  const query = useBack<Row[]>(path, { restaurantId: house.id });
  const stale = [['back', path]];
  const save = useAction(({ row, values }: { row: Row | null; values: FormValues }) => (row ? back.patch(path, { id: row.id, ...values }) : back.post(path, { restaurantId: house.id, ...values })), { stale, done: t('common.saved'), quiet: true });
  const remove = useAction((row: Row) => back.remove(path, { id: row.id }), { stale });
  return { query, save, remove };
}

const plain = (value: unknown) => (value === null || value === undefined ? '–' : String(value));

function Tables({ house, mayChange }: { house: Restaurant; mayChange: boolean }) {
  const { t } = useTranslation();
  const rooms = useRows('/rooms', house);
  const tables = useRows('/tables', house);
  const roomName = (id: unknown) => rooms.query.data?.find((one) => one.id === id)?.name ?? '–';
  const active = (one: Row) => <StateBadge tone={one.isActive ? 'good' : 'off'}>{one.isActive ? t('telephony.sip.active') : t('telephony.sip.inactive')}</StateBadge>;
  return (
    <>
      <EntityPage
        nested
        title={t('restaurant.settings.rooms')}
        intro={t('restaurant.settings.roomsIntro')}
        query={rooms.query}
        rowId={(one) => one.id}
        nameOf={(one) => plain(one.name)}
        icon={IconArmchair}
        emptyTitle={t('restaurant.settings.noRooms')}
        add={mayChange ? t('restaurant.settings.addRoom') : undefined}
        columns={[
          { id: 'name', header: t('common.name'), title: true, sort: (one) => plain(one.name), cell: (one) => plain(one.name) },
          { id: 'state', header: t('restaurant.state'), cell: active },
        ]}
        remove={mayChange ? { text: t('restaurant.settings.removeRow'), run: (one) => rooms.remove.mutate(one) } : undefined}
        form={
          mayChange
            ? (one, close) => (
                <SpecForm columns={1} initial={one ?? { isActive: true }} submit={t('common.save')} busy={rooms.save.isPending} error={rooms.save.error} onCancel={close} onSubmit={(values) => rooms.save.mutate({ row: one, values }, { onSuccess: close })} fields={[{ name: 'name', label: t('common.name'), required: true }, { name: 'description', label: t('restaurant.description') }, { name: 'isActive', label: t('telephony.sip.active'), kind: 'switch' }]} />
              )
            : undefined
        }
      />
      <EntityPage
        nested
        title={t('restaurant.settings.tablesTitle')}
        intro={t('restaurant.settings.tablesIntro', { seats: (tables.query.data ?? []).filter((one) => one.isActive).reduce((sum, one) => sum + Number(one.seats ?? 0), 0) })}
        query={tables.query}
        rowId={(one) => one.id}
        nameOf={(one) => t('restaurant.settings.tableOf', { number: plain(one.tableNumber) })}
        icon={IconArmchair}
        emptyTitle={t('restaurant.settings.noTables')}
        add={mayChange ? t('restaurant.settings.addTable') : undefined}
        columns={[
          { id: 'number', header: t('restaurant.settings.tableNumber'), title: true, sort: (one) => plain(one.tableNumber), cell: (one) => plain(one.tableNumber) },
          { id: 'seats', header: t('restaurant.settings.tableSeats'), right: true, sort: (one) => Number(one.seats), cell: (one) => plain(one.seats) },
          { id: 'room', header: t('restaurant.reservations.room'), sort: (one) => roomName(one.diningRoomId), cell: (one) => roomName(one.diningRoomId) },
          { id: 'state', header: t('restaurant.state'), cell: active },
        ]}
        remove={mayChange ? { text: t('restaurant.settings.removeRow'), run: (one) => tables.remove.mutate(one) } : undefined}
        form={
          mayChange
            ? (one, close) => (
                <SpecForm
                  initial={one ?? { isActive: true, seats: 2 }}
                  submit={t('common.save')}
                  busy={tables.save.isPending}
                  error={tables.save.error}
                  onCancel={close}
                  onSubmit={(values) => tables.save.mutate({ row: one, values }, { onSuccess: close })}
                  fields={[
                    { name: 'tableNumber', label: t('restaurant.settings.tableNumber'), required: true },
                    { name: 'seats', label: t('restaurant.settings.tableSeats'), kind: 'number', min: 1, max: 100, required: true },
                    { name: 'diningRoomId', label: t('restaurant.reservations.room'), kind: 'select', options: (rooms.query.data ?? []).map((room) => ({ value: room.id, label: plain(room.name) })) },
                    { name: 'seatingOptions', label: t('restaurant.settings.placement'), kind: 'multi', options: (['window', 'outdoor', 'large_table', 'quiet', 'bar'] as const).map((value) => ({ value, label: t(`restaurant.seating.${value}`) })) },
                    { name: 'isActive', label: t('telephony.sip.active'), kind: 'switch' },
                  ]}
                />
              )
            : undefined
        }
      />
    </>
  );
}

function Services({ house, mayChange }: { house: Restaurant; mayChange: boolean }) {
  const { t } = useTranslation();
  const services = useRows('/dining-services', house);
  return (
    <EntityPage
        nested
      title={t('restaurant.settings.servicesTitle')}
      intro={t('restaurant.settings.servicesIntro')}
      query={services.query}
      rowId={(one) => one.id}
      nameOf={(one) => plain(one.name)}
      emptyTitle={t('restaurant.settings.noServices')}
      add={mayChange ? t('restaurant.settings.addService') : undefined}
      columns={[
        { id: 'name', header: t('common.name'), title: true, sort: (one) => plain(one.name), cell: (one) => plain(one.name) },
        { id: 'hours', header: t('restaurant.hours.title'), cell: (one) => `${plain(one.startTime)} – ${plain(one.endTime)}` },
        { id: 'covers', header: t('restaurant.settings.maxCovers'), right: true, sort: (one) => Number(one.maxCovers), cell: (one) => plain(one.maxCovers) },
        { id: 'auto', header: t('restaurant.settings.autoConfirm'), cell: (one) => (one.autoConfirm ? t('common.yes') : t('common.no')) },
      ]}
      remove={mayChange ? { text: t('restaurant.settings.removeRow'), run: (one) => services.remove.mutate(one) } : undefined}
      form={
        mayChange
          ? (one, close) => (
              <SpecForm
                initial={one ?? { isActive: true, autoConfirm: true, maxCovers: 0, startTime: '19:00', endTime: '22:30' }}
                submit={t('common.save')}
                busy={services.save.isPending}
                error={services.save.error}
                onCancel={close}
                onSubmit={(values) => services.save.mutate({ row: one, values }, { onSuccess: close })}
                fields={[
                  { name: 'name', label: t('common.name'), required: true },
                  { name: 'maxCovers', label: t('restaurant.settings.maxCovers'), kind: 'number', min: 0, hint: t('restaurant.settings.zeroTables') },
                  { name: 'startTime', label: t('restaurant.hours.open'), kind: 'time', required: true },
                  { name: 'endTime', label: t('restaurant.hours.close'), kind: 'time', required: true },
                  { name: 'lastSeatingTime', label: t('restaurant.settings.lastSeating'), kind: 'time' },
                  { name: 'defaultDurationMin', label: t('restaurant.settings.meal'), kind: 'number', min: 10, suffix: ' min' },
                  { name: 'autoConfirm', label: t('restaurant.settings.autoConfirm'), kind: 'switch' },
                  { name: 'isActive', label: t('telephony.sip.active'), kind: 'switch' },
                ]}
              />
            )
          : undefined
      }
    />
  );
}

interface LineAnswer {
  phoneLine: (FormValues & { hasSipPassword?: boolean }) | null;
  sipEnabled: boolean;
  sipBridge: boolean;
}

function Telephone({ house, mayChange }: { house: Restaurant; mayChange: boolean }) {
  const { t } = useTranslation();
  const line = useQuery({ queryKey: ['back', '/phone-lines', house.id], queryFn: () => back.get<LineAnswer>('/phone-lines', { restaurantId: house.id }) });
  const save = useAction(
    ({ sipEnabled, sipBridge, maxParallelCalls, transferEnabled, transferPhoneNumber, ...phoneLine }: FormValues) => {
      if (!phoneLine.sipPassword) delete phoneLine.sipPassword;
      return back.put('/phone-lines', { restaurantId: house.id, sipEnabled, sipBridge, ...phoneLine }).then(() => back.patch('/restaurants', { id: house.id, maxParallelCalls, transferEnabled, transferPhoneNumber }));
    },
    { stale: [['back']], done: t('restaurant.settings.saved'), quiet: true },
  );
  return (
    <Answered query={line} isEmpty={() => false}>
      {(found) => (
        <Card withBorder radius="md" padding="lg" maw={860}>
          <fieldset disabled={!mayChange} className="plain-fieldset">
            <SpecForm
              initial={{ ...(found.phoneLine ?? { provider: 'sip', isActive: true }), sipEnabled: found.sipEnabled, sipBridge: found.sipBridge, maxParallelCalls: house.maxParallelCalls, transferEnabled: house.transferEnabled, transferPhoneNumber: house.transferPhoneNumber, sipPassword: '' }}
              submit={t('common.save')}
              busy={save.isPending}
              error={save.error}
              onSubmit={(values) => save.mutate(values)}
              fields={[
                { name: 'sipEnabled', label: t('restaurant.settings.telephony'), kind: 'switch' },
                { name: 'sipBridge', label: t('restaurant.settings.sipBridge'), hint: t('restaurant.settings.sipBridgeHint'), kind: 'switch' },
                { name: 'phoneNumber', label: t('agents.lines.number'), kind: 'tel', required: true },
                { name: 'provider', label: t('agents.lines.provider'), kind: 'select', required: true, options: [{ value: 'sip', label: 'SIP' }, { value: 'twilio', label: 'Twilio' }] },
                { name: 'sipDomain', label: t('agents.lines.domain') },
                { name: 'sipUsername', label: t('agents.lines.username') },
                { name: 'sipPassword', label: t('common.password'), kind: 'password', hint: found.phoneLine?.hasSipPassword ? t('agents.lines.passwordKept') : undefined },
                { name: 'sipTransport', label: 'Transport', kind: 'select', options: ['udp', 'tcp', 'tls'].map((value) => ({ value, label: value.toUpperCase() })) },
                { name: 'maxParallelCalls', label: t('agents.editor.parallel'), kind: 'number', min: 1 },
                { name: 'transferEnabled', label: t('restaurant.settings.transfer'), kind: 'switch' },
                { name: 'transferPhoneNumber', label: t('restaurant.settings.transferTo'), kind: 'tel' },
                { name: 'isActive', label: t('agents.lines.active'), kind: 'switch' },
              ]}
            />
          </fieldset>
        </Card>
      )}
    </Answered>
  );
}

interface NoticeSettings {
  staff?: { email?: string[]; sms?: string[]; events?: string[] };
  guests?: { sms?: boolean; email?: boolean };
  printer?: { address?: string; columns?: number };
  [more: string]: unknown;
}

function Notices({ house, mayChange }: { house: Restaurant; mayChange: boolean }) {
  const { t } = useTranslation();
  const kept = (house.notifications ?? {}) as NoticeSettings;
  const save = useAction(
    (values: FormValues) => {
      const next: NoticeSettings = { ...kept, staff: { ...kept.staff, email: values.staffEmail as string[], sms: values.staffSms as string[] }, guests: { ...kept.guests, sms: Boolean(values.guestSms), email: Boolean(values.guestEmail) } };
      if (values.printer) next.printer = { columns: 42, ...kept.printer, address: String(values.printer) };
      else delete next.printer;
      return back.patch('/restaurants', { id: house.id, notifications: next });
    },
    { stale: [['back']], done: t('restaurant.settings.saved'), quiet: true },
  );
  return (
    <Card withBorder radius="md" padding="lg" maw={860}>
      <fieldset disabled={!mayChange} className="plain-fieldset">
        <SpecForm
          initial={{ staffEmail: kept.staff?.email ?? [], staffSms: kept.staff?.sms ?? [], guestSms: kept.guests?.sms ?? false, guestEmail: kept.guests?.email ?? false, printer: kept.printer?.address ?? '' }}
          submit={t('common.save')}
          busy={save.isPending}
          error={save.error}
          onSubmit={(values) => save.mutate(values)}
          fields={[
            { name: 'staffEmail', label: t('restaurant.settings.staffEmail'), kind: 'tags' },
            { name: 'staffSms', label: t('restaurant.settings.staffSms'), kind: 'tags' },
            { name: 'guestSms', label: t('restaurant.settings.guestSms'), kind: 'switch' },
            { name: 'guestEmail', label: t('restaurant.settings.guestEmail'), kind: 'switch' },
            { name: 'printer', label: t('restaurant.settings.printer'), hint: t('restaurant.settings.printerHint'), placeholder: '192.168.1.50:9100' },
          ]}
        />
      </fieldset>
    </Card>
  );
}

