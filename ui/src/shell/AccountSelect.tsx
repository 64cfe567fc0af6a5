import { Select } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSession } from '../api/session';

/** Of which account the pages speak: for the operator of the node. */
export function AccountSelect({ size }: { size?: 'xs' }) {
  const { t } = useTranslation();
  const { accountId, accounts, chooseAccount } = useSession();
  return (
    <Select
      size={size}
      aria-label={t('common.account')}
      placeholder={t('common.allAccounts')}
      clearable
      searchable
      data={accounts.map((account) => ({ value: account.id, label: account.name }))}
      value={accountId ?? null}
      onChange={(value) => chooseAccount(value ?? undefined)}
      clearButtonProps={{ 'aria-label': t('common.allAccounts') }}
    />
  );
}
