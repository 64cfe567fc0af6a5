// What a telephone has to be told so that it registers, and whether it does.
import { Alert, List, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconClock } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { Copyable } from '../../parts/actions';
import { DEVICES, type Device } from './types';

const EVERY_MS = 1_500;

/** `password` is there right after it was written, and never again. */
export function Telephone({ device, password }: { device: Device; password?: string }) {
  const { t } = useTranslation();
  const now = useQuery({ queryKey: [DEVICES, 'one', device.id], queryFn: () => ask<Device>('GET', `${DEVICES}/${device.id}`), initialData: device, refetchInterval: EVERY_MS });
  const place = now.data.bindings[0];
  const host = window.location.hostname;
  const isLocal = host === 'localhost' || host.startsWith('127.') || host === '[::1]';
  const values: [string, string][] = [
    [device.domain ? t('telephony.tell.domain') : t('telephony.tell.server'), device.domain || host],
    ...(device.domain ? ([[t('telephony.tell.proxy'), host]] as [string, string][]) : []),
    [t('telephony.tell.username'), device.username],
    ...(password ? ([[t('common.password'), password]] as [string, string][]) : []),
  ];
  return (
    <Stack>
      <Text size="sm">{t('telephony.tell.intro')}</Text>
      {values.map(([label, value]) => (
        <div key={label}>
          <Text size="sm" fw={500} mb={2}>
            {label}
          </Text>
          <Copyable value={value} label={label} />
        </div>
      ))}
      <Text size="sm" c="dimmed">
        {password ? t('telephony.tell.passwordOnce') : t('telephony.tell.passwordKept')}
      </Text>
      <List size="sm" spacing={4}>
        <List.Item>{t('telephony.tell.transport')}</List.Item>
        <List.Item>{t('telephony.tell.codecs')}</List.Item>
        <List.Item>{t('telephony.tell.gateway')}</List.Item>
      </List>
      {isLocal && (
        <Alert color="orange" icon={<IconAlertTriangle size={18} />}>
          {t('telephony.tell.local', { host })}
        </Alert>
      )}
      <div role="status">
        {place ? (
          <Alert color="allo" icon={<IconCircleCheck size={18} />} title={t('telephony.tell.registered')}>
            {t('telephony.tell.from', { source: place.source, transport: place.transport.toUpperCase(), name: place.user_agent ?? '–' })}
          </Alert>
        ) : (
          <Alert color="gray" icon={<IconClock size={18} />} title={t('telephony.tell.waiting')}>
            {t('telephony.tell.waitingHint')}
          </Alert>
        )}
      </div>
    </Stack>
  );
}
