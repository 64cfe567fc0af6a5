import { Badge, Group, Stack, Text } from '@mantine/core';
import { IconAddressBook, IconAlertTriangle, IconStar } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { back, useBack, type Restaurant } from '../../api/restaurant';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime, money, number, phone } from '../../parts/format';
import { SpecForm, type FormValues } from '../../parts/SpecForm';
import { WithRestaurant } from './useRestaurant';

interface Customer {
  id: string;
  phone: string;
  firstName?: string | null;
  lastName?: string | null;
  email?: string | null;
  deliveryAddress?: string | null;
  deliveryCity?: string | null;
  allergies?: string[];
  isVip: boolean;
  totalOrders: number;
  totalSpent: number;
  totalReservations: number;
  lastOrderAt?: string | null;
}

const nameOf = (one: Customer) => [one.firstName, one.lastName].filter(Boolean).join(' ') || phone(one.phone);

/** Who calls the restaurant, what they took, and what the kitchen must know of them. */
export function Customers() {
  const { t } = useTranslation();
  return <WithRestaurant title={t('restaurant.customers.title')}>{(house, picker) => <List key={house.id} house={house} picker={picker} />}</WithRestaurant>;
}

function List({ house, picker }: { house: Restaurant; picker: React.ReactNode }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const list = useBack<Customer[]>('/customers', { restaurantId: house.id });
  const save = useAction((values: FormValues) => back.post('/customers', { restaurantId: house.id, ...values }), { stale: [['back', '/customers']], done: t('common.saved'), quiet: true });
  return (
    <EntityPage
      title={t('restaurant.customers.title')}
      intro={t('restaurant.customers.intro')}
      query={list}
      rowId={(one) => one.id}
      nameOf={nameOf}
      textOf={(one) => `${nameOf(one)} ${one.phone} ${one.email ?? ''}`}
      icon={IconAddressBook}
      emptyTitle={t('restaurant.customers.empty')}
      emptyHint={t('restaurant.customers.emptyHint')}
      actions={picker}
      add={may('operator') ? t('restaurant.customers.add') : undefined}
      sorting={{ id: 'last', desc: true }}
      columns={[
        {
          id: 'name',
          header: t('common.name'),
          title: true,
          sort: (one) => nameOf(one).toLowerCase(),
          cell: (one) => (
            <Stack gap={0}>
              <Group gap={6}>
                <Text size="sm" fw={600}>
                  {nameOf(one)}
                </Text>
                {one.isVip && <Badge color="yellow" leftSection={<IconStar size={12} aria-hidden />}>VIP</Badge>}
              </Group>
              <Text size="xs" c="dimmed">
                {phone(one.phone)}
              </Text>
            </Stack>
          ),
        },
        { id: 'allergies', header: t('restaurant.customers.allergies'), cell: (one) => ((one.allergies ?? []).length > 0 ? <Badge color="red" leftSection={<IconAlertTriangle size={12} aria-hidden />}>{one.allergies?.join(', ')}</Badge> : '–') },
        { id: 'address', header: t('restaurant.customers.address'), cell: (one) => [one.deliveryAddress, one.deliveryCity].filter(Boolean).join(', ') || '–', wideOnly: true },
        { id: 'orders', header: t('restaurant.customers.orders'), right: true, sort: (one) => one.totalOrders, cell: (one) => number(one.totalOrders) },
        { id: 'spent', header: t('restaurant.customers.spent'), right: true, sort: (one) => one.totalSpent, cell: (one) => money(one.totalSpent, house.currency) },
        { id: 'bookings', header: t('restaurant.customers.bookings'), right: true, sort: (one) => one.totalReservations, cell: (one) => number(one.totalReservations) },
        { id: 'last', header: t('restaurant.customers.last'), right: true, sort: (one) => one.lastOrderAt ?? '', cell: (one) => dateTime(one.lastOrderAt) },
      ]}
      form={
        may('operator')
          ? (one, close) => (
              <SpecForm
                initial={one ? { ...one } : {}}
                submit={t('common.save')}
                busy={save.isPending}
                error={save.error}
                onCancel={close}
                onSubmit={(values) => save.mutate(values, { onSuccess: close })}
                fields={[
                  { name: 'firstName', label: t('restaurant.customers.first') },
                  { name: 'lastName', label: t('restaurant.customers.lastName') },
                  { name: 'phone', label: t('restaurant.phone'), kind: 'tel', required: true, hint: one ? t('restaurant.customers.phoneFixed') : undefined },
                  { name: 'email', label: t('common.email'), kind: 'email' },
                  { name: 'deliveryAddress', label: t('restaurant.customers.address') },
                  { name: 'deliveryCity', label: t('restaurant.customers.city') },
                  { name: 'allergies', label: t('restaurant.customers.allergies'), hint: t('restaurant.customers.allergiesHint'), kind: 'tags', wide: true },
                  { name: 'notes', label: t('restaurant.notes'), kind: 'area' },
                  { name: 'isVip', label: 'VIP', kind: 'switch' },
                ]}
              />
            )
          : undefined
      }
    />
  );
}
