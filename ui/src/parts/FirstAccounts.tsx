// Says that a list is that of the first accounts only.
import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { ACCOUNTS_MAX, useIsCut } from '../api/lists';

export function FirstAccounts() {
  const { t } = useTranslation();
  const isCut = useIsCut();
  return isCut ? (
    <Text size="sm" mb="md" role="note">
      {t('common.firstAccounts', { count: ACCOUNTS_MAX })}
    </Text>
  ) : null;
}
