// Links that show one call to somebody without an account.
import { Badge, Button, Group, Select, Stack, Switch, Text } from '@mantine/core';
import { IconLink, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi, type Schemas } from '../../api/client';
import { Copyable, IconButton, useAction } from '../../parts/actions';
import { dateTime } from '../../parts/format';
import { ErrorNote } from '../../parts/Page';

const DAYS = ['1', '7', '30'];

export function Shares({ callId, hasSound }: { callId: string; hasSound: boolean }) {
  const { t } = useTranslation();
  const [days, setDays] = useState('7');
  const [sound, setSound] = useState(false);
  const list = useApi('/api/calls/{id}/shares', { path: { id: callId } });
  const stale = [['/api/calls/{id}/shares']];
  const make = useAction(() => ask<Schemas['ShareMade']>('POST', `/api/calls/${callId}/shares`, { days: Number(days), sound }), { stale, quiet: true });
  const remove = useAction((one: Schemas['ShareView']) => ask('DELETE', `/api/calls/${callId}/shares/${one.id}`), { stale, done: t('calls.share.revoked') });
  const now = new Date().toISOString();
  const alive = (list.data ?? []).filter((one) => !one.revokedAt && (one.expiresAt ?? now) > now);
  return (
    <Stack>
      <Text size="sm">{t('calls.share.intro')}</Text>
      {make.error ? <ErrorNote error={make.error} /> : null}
      <Group align="flex-end">
        <Select w={160} label={t('calls.share.days')} data={DAYS.map((one) => ({ value: one, label: t('calls.share.dayCount', { count: Number(one) }) }))} value={days} onChange={(value) => setDays(value ?? '7')} allowDeselect={false} />
        {hasSound && <Switch mb={8} label={t('calls.share.sound')} checked={sound} onChange={(event) => setSound(event.currentTarget.checked)} />}
        <Button leftSection={<IconLink size={16} />} loading={make.isPending} onClick={() => make.mutate(undefined)}>
          {t('calls.share.make')}
        </Button>
      </Group>
      {make.data && (
        <div>
          <Text size="sm" mb={4}>
            {t('calls.share.once')}
          </Text>
          <Copyable value={window.location.origin + make.data.path} label={t('calls.share.link')} />
        </div>
      )}
      {alive.map((one) => (
        <Group key={one.id} justify="space-between" wrap="nowrap">
          <div>
            <Group gap={6}>
              <Text size="sm" ff="monospace">
                {one.prefix}…
              </Text>
              {one.sound && <Badge color="gray">{t('calls.share.withSound')}</Badge>}
            </Group>
            <Text size="xs" c="dimmed">
              {t('calls.share.until', { when: dateTime(one.expiresAt ?? ''), who: one.createdBy })} {one.lastUsedAt ? t('calls.share.opened', { when: dateTime(one.lastUsedAt) }) : t('calls.share.neverOpened')}
            </Text>
          </div>
          <IconButton label={t('calls.share.revokeOne', { name: one.prefix })} icon={IconTrash} onClick={() => remove.mutate(one)} />
        </Group>
      ))}
    </Stack>
  );
}
