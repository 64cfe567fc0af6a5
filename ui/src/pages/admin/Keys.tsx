// Keys of programs: shown once, narrowed by role and areas, taken back at once.
import { Badge, Code, Group, Stack, Text } from '@mantine/core';
import { IconKey } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useSession, type Role } from '../../api/session';
import { Copyable, useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime } from '../../parts/format';
import { SpecForm, type FormValues } from '../../parts/SpecForm';
import { StateBadge } from '../../parts/StateBadge';

interface Key {
  id: string;
  name: string;
  prefix: string;
  role: Role;
  scopes: string[];
  expiresAt?: string | null;
  lastUsedAt?: string | null;
  revokedAt?: string | null;
  createdAt: string;
}

const ROLES: Role[] = ['viewer', 'operator', 'admin', 'owner'];
const AREAS = ['accounts', 'agents', 'audit', 'billing', 'blocked', 'calls', 'chat', 'customers', 'faqs', 'keys', 'lines', 'live', 'privacy', 'users', 'webhooks'];

export function Keys() {
  const { t } = useTranslation();
  const { may, accountId, accounts } = useSession();
  const list = useOfAccounts<Key>('/api/keys', 'accountId');
  const stale = [['/api/keys']];
  const make = useAction(
    (values: FormValues) =>
      ask<{ key: string }>('POST', '/api/keys', { accountId: accountId ?? accounts[0]?.id, ...values, expiresAt: values.expiresAt ? new Date(`${String(values.expiresAt)}T23:59:59`).toISOString() : undefined }),
    { stale, quiet: true },
  );
  const remove = useAction((one: Key) => ask('DELETE', `/api/keys/${one.id}`), { stale, done: (_, one) => t('admin.keys.revoked', { name: one.name }) });
  return (
    <EntityPage
      title={t('admin.keys.title')}
      intro={t('admin.keys.intro')}
      query={{ ...list, data: list.data?.filter((one) => one.name !== 'session' || !one.prefix.startsWith('ses_')) }}
      byAccount
      rowId={(one) => one.id}
      nameOf={(one) => one.name}
      icon={IconKey}
      emptyTitle={t('admin.keys.empty')}
      add={t('admin.keys.add')}
      canEdit={() => false}
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
              <Code>{one.prefix}…</Code>
            </Stack>
          ),
        },
        { id: 'role', header: t('admin.users.role'), sort: (one) => ROLES.indexOf(one.role), cell: (one) => <Badge color="gray">{t(`common.roles.${one.role}`)}</Badge> },
        { id: 'scopes', header: t('admin.keys.scopes'), cell: (one) => <Group gap={4}>{one.scopes.length === 0 || one.scopes.includes('*') ? t('admin.keys.allScopes') : one.scopes.map((scope) => <Badge key={scope} color="gray">{scope}</Badge>)}</Group> },
        {
          id: 'state',
          header: t('admin.state'),
          cell: (one) =>
            one.revokedAt ? <StateBadge tone="off">{t('admin.keys.isRevoked')}</StateBadge> : one.expiresAt && Date.parse(one.expiresAt) < Date.now() ? <StateBadge tone="warn">{t('admin.keys.expired')}</StateBadge> : <StateBadge tone="good">{t('telephony.sip.active')}</StateBadge>,
        },
        { id: 'expires', header: t('admin.keys.expires'), right: true, sort: (one) => one.expiresAt ?? '9', cell: (one) => (one.expiresAt ? dateTime(one.expiresAt) : t('admin.keys.never')) },
        { id: 'used', header: t('admin.keys.used'), right: true, sort: (one) => one.lastUsedAt ?? '', cell: (one) => dateTime(one.lastUsedAt) },
      ]}
      remove={{ text: t('admin.keys.removeText'), run: (one) => remove.mutate(one), allowed: (one) => !one.revokedAt }}
      form={(_, close) =>
        make.data ? (
          <Stack>
            <Text size="sm">{t('admin.keys.once')}</Text>
            <Copyable value={make.data.key} label={t('admin.keys.title')} />
            <SpecForm fields={[]} initial={{}} submit={t('common.close')} onSubmit={() => { make.reset(); close(); }} />
          </Stack>
        ) : (
          <SpecForm
            initial={{ role: 'viewer' }}
            submit={t('common.create')}
            busy={make.isPending}
            error={make.error}
            onCancel={close}
            onSubmit={(values) => make.mutate(values)}
            fields={[
              { name: 'name', label: t('common.name'), hint: t('admin.keys.nameHint'), required: true },
              { name: 'role', label: t('admin.users.role'), kind: 'select', required: true, options: ROLES.filter((role) => may(role)).map((value) => ({ value, label: t(`common.roles.${value}`) })) },
              { name: 'scopes', label: t('admin.keys.scopes'), hint: t('admin.keys.scopesHint'), kind: 'multi', wide: true, options: AREAS.flatMap((area) => [`${area}:read`, `${area}:write`]).map((value) => ({ value, label: value })) },
              { name: 'expiresAt', label: t('admin.keys.expires'), kind: 'date', hint: t('admin.keys.expiresHint') },
            ]}
          />
        )
      }
    />
  );
}
