import { Badge, Stack, Text } from '@mantine/core';
import { IconUsers } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useSession, type Role } from '../../api/session';
import { useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime } from '../../parts/format';
import { SpecForm, type Field, type FormValues } from '../../parts/SpecForm';
import { StateBadge } from '../../parts/StateBadge';

interface User {
  id: string;
  accountId?: string | null;
  email: string;
  name: string;
  role: Role;
  isActive: boolean;
  lastLoginAt?: string | null;
}

const ROLES: Role[] = ['viewer', 'operator', 'admin', 'owner'];
const PASSWORD_LEAST = 12;

/** People who log in, and what each may do. Nobody makes one above himself. */
export function Users() {
  const { t } = useTranslation();
  const { me, may, accountId, accounts, accountName } = useSession();
  const list = useOfAccounts<User>('/api/users', 'accountId');
  const stale = [['/api/users']];
  const save = useAction(
    ({ one, values }: { one: User | null; values: FormValues }) => {
      const sent = { ...values };
      if (!sent.password) delete sent.password;
      return one ? ask('PATCH', `/api/users/${one.id}`, sent) : ask('POST', '/api/users', { accountId: accountId ?? accounts[0]?.id, ...sent });
    },
    { stale, done: t('common.saved'), quiet: true },
  );
  const remove = useAction((one: User) => ask('DELETE', `/api/users/${one.id}`), { stale, done: t('admin.users.removed') });
  const roles = ROLES.filter((role) => may(role)).map((value) => ({ value, label: `${t(`common.roles.${value}`)} – ${t(`admin.users.can.${value}`)}` }));
  const fields = (one: User | null): Field[] => [
    { name: 'name', label: t('common.name'), required: true },
    ...(one ? [] : [{ name: 'email', label: t('common.email'), kind: 'email' as const, required: true }]),
    { name: 'role', label: t('admin.users.role'), kind: 'select', required: true, options: roles, wide: true },
    { name: 'password', label: one ? t('admin.users.newPassword') : t('common.password'), kind: 'password', hint: t('common.setup.passwordHint', { count: PASSWORD_LEAST }), required: !one, check: (value) => (!value || String(value).length >= PASSWORD_LEAST ? null : t('common.setup.passwordShort', { count: PASSWORD_LEAST })) },
    ...(one ? [{ name: 'isActive', label: t('admin.users.mayLogIn'), kind: 'switch' as const }] : []),
  ];
  return (
    <EntityPage
      title={t('admin.users.title')}
      intro={t('admin.users.intro')}
      query={list}
      byAccount
      rowId={(one) => one.id}
      nameOf={(one) => one.email}
      icon={IconUsers}
      emptyTitle={t('admin.users.empty')}
      add={t('admin.users.add')}
      columns={[
        {
          id: 'name',
          header: t('common.name'),
          title: true,
          sort: (one) => one.name.toLowerCase(),
          cell: (one) => (
            <Stack gap={0}>
              <Text size="sm" fw={600}>
                {one.name || one.email}
              </Text>
              <Text size="xs" c="dimmed">
                {one.email}
              </Text>
            </Stack>
          ),
        },
        { id: 'role', header: t('admin.users.role'), sort: (one) => ROLES.indexOf(one.role), cell: (one) => <Badge color="gray">{t(`common.roles.${one.role}`)}</Badge> },
        { id: 'account', header: t('common.account'), cell: (one) => (one.accountId ? accountName(one.accountId) : t('admin.users.node')) },
        { id: 'state', header: t('admin.state'), cell: (one) => <StateBadge tone={one.isActive ? 'good' : 'off'}>{one.isActive ? t('telephony.sip.active') : t('admin.users.locked')}</StateBadge> },
        { id: 'last', header: t('admin.users.lastLogin'), right: true, sort: (one) => one.lastLoginAt ?? '', cell: (one) => dateTime(one.lastLoginAt) },
      ]}
      remove={{ text: t('admin.users.removeText'), run: (one) => remove.mutate(one), allowed: (one) => one.email !== me.name }}
      form={(one, close) => (
        <SpecForm initial={one ? { ...one, password: '' } : { role: 'operator' }} fields={fields(one)} submit={t('common.save')} busy={save.isPending} error={save.error} onCancel={close} onSubmit={(values) => save.mutate({ one, values }, { onSuccess: close })} />
      )}
    />
  );
}
