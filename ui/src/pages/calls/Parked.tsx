// Where a caller waits, by whom they were put there, and since when.
import { Badge, Text } from '@mantine/core';
import { IconParking } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../../api/client';
import { useNow } from '../../api/live';
import { duration } from '../../parts/format';

export function Parked({ parked }: { parked: Schemas['ParkedView'] }) {
  const { t } = useTranslation();
  return (
    <>
      <Badge color="orange" leftSection={<IconParking size={12} />}>
        {t('calls.parked.place', { place: parked.place })}
      </Badge>
      <Text size="sm" c="dimmed">
        {t('calls.parked.by', { name: parked.by })} <Waits since={parked.since} />
      </Text>
    </>
  );
}

/** It counts by itself. */
function Waits({ since }: { since: string }) {
  const { t } = useTranslation();
  const now = useNow();
  return <>{t('calls.parked.since', { time: duration((now - Date.parse(since)) / 1000) })}</>;
}
