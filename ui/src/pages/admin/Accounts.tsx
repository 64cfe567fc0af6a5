// The accounts of the node: who they are, what they may spend.
import { Text, Stack } from '@mantine/core';
import { IconBuildingStore } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { ask, useApi, WHOLE } from '../../api/client';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime, money } from '../../parts/format';
import { SpecForm, type FormValues } from '../../parts/SpecForm';
import { StateBadge } from '../../parts/StateBadge';

interface Account {
  id: string;
  name: string;
  email: string;
  isActive: boolean;
  currency: string;
  balance?: number | null;
  budgetDaily?: number | null;
  callsMax?: number | null;
  settings: { inbound?: { callsPerS?: number | null } } & Record<string, unknown>;
  createdAt: string;
}

export function Accounts() {
  const { t } = useTranslation();
  const { isNode, may } = useSession();
  const list = useApi('/api/accounts', { query: { limit: WHOLE } });
  const save = useAction(
    ({ one, values }: { one: Account | null; values: FormValues }) => {
      const { balance, callsPerS, ...fields } = values;
      const rest = { ...fields, ...(isNode ? { settings: { ...one?.settings, inbound: callsPerS ? { callsPerS } : undefined } } : {}) };
      return one ? ask('PATCH', `/api/accounts/${one.id}`, rest) : ask('POST', '/api/accounts', { ...rest, ...(balance !== null && balance !== '' ? { balance } : {}) });
    },
    { stale: [['/api/accounts']], done: t('common.saved'), quiet: true },
  );
  return (
    <EntityPage
      title={t('admin.accounts.title')}
      intro={t('admin.accounts.intro')}
      query={{ ...list, data: list.data as unknown as Account[] | undefined }}
      rowId={(one) => one.id}
      nameOf={(one) => one.name}
      icon={IconBuildingStore}
      emptyTitle={t('admin.accounts.empty')}
      add={isNode ? t('admin.accounts.add') : undefined}
      columns={[
        {
          id: 'name',
          header: t('common.name'),
          title: true,
          sort: (one) => one.name.toLowerCase(),
          cell: (one) => (
            <Stack gap={0}>
              <Text size="sm" fw={600}>
                {one.name}
              </Text>
              <Text size="xs" c="dimmed">
                {one.email}
              </Text>
            </Stack>
          ),
        },
        { id: 'state', header: t('admin.state'), sort: (one) => (one.isActive ? 0 : 1), cell: (one) => <StateBadge tone={one.isActive ? 'good' : 'off'}>{one.isActive ? t('telephony.sip.active') : t('telephony.sip.inactive')}</StateBadge> },
        { id: 'balance', header: t('admin.accounts.balance'), right: true, sort: (one) => one.balance ?? Infinity, cell: (one) => (one.balance == null ? t('admin.accounts.unlimited') : money(one.balance, one.currency)) },
        { id: 'budget', header: t('admin.accounts.budget'), right: true, sort: (one) => one.budgetDaily ?? Infinity, cell: (one) => (one.budgetDaily == null ? '–' : money(one.budgetDaily, one.currency)) },
        { id: 'calls', header: t('admin.accounts.callsMax'), right: true, sort: (one) => one.callsMax ?? Infinity, cell: (one) => one.callsMax ?? '–' },
        { id: 'created', header: t('admin.created'), right: true, sort: (one) => one.createdAt, cell: (one) => dateTime(one.createdAt) },
      ]}
      form={
        may('admin')
          ? (one, close) => (
              <SpecForm
                initial={one ? { ...one, callsPerS: one.settings.inbound?.callsPerS ?? '' } : { currency: 'EUR', isActive: true }}
                submit={one ? t('common.save') : t('common.create')}
                busy={save.isPending}
                error={save.error}
                onCancel={close}
                onSubmit={(values) => save.mutate({ one, values }, { onSuccess: close })}
                fields={[
                  { name: 'name', label: t('common.name'), required: true },
                  { name: 'email', label: t('common.email'), kind: 'email', required: true },
                  { name: 'currency', label: t('admin.accounts.currency'), required: true, check: (value) => (/^[A-Z]{3}$/.test(String(value)) ? null : t('admin.accounts.currencyInvalid')) },
                  ...(one ? [] : [{ name: 'balance', label: t('admin.accounts.balance'), hint: t('admin.accounts.balanceHint'), kind: 'number' as const, decimals: 2 }]),
                  ...(isNode ? [{ name: 'budgetDaily', label: t('admin.accounts.budget'), hint: t('admin.accounts.budgetHint'), kind: 'number' as const, decimals: 2, min: 0 }, { name: 'callsMax', label: t('admin.accounts.callsMax'), kind: 'number' as const, min: 0 }, { name: 'callsPerS', label: t('admin.accounts.callsPerS'), hint: t('admin.accounts.callsPerSHint'), kind: 'number' as const, min: 0, max: 10000 }] : []),
                  { name: 'isActive', label: t('telephony.sip.active'), kind: 'switch' },
                ]}
              />
            )
          : undefined
      }
    />
  );
}
