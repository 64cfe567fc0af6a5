// What each account spent and has left, its transactions, and the prices of the models.
import { Button, Card, Group, Modal, SimpleGrid, Stack, Table, Text } from '@mantine/core';
import { IconCoins, IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi } from '../../api/client';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { DataTable } from '../../parts/DataTable';
import { dateTime, money, number } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { SpecForm, type FormValues } from '../../parts/SpecForm';

export function Billing() {
  const { t } = useTranslation();
  const { accountId, accounts, accountName } = useSession();
  const account = accountId ?? accounts[0]?.id;
  return (
    <Page wide title={t('admin.billing.title')} intro={account ? accountName(account) : t('common.chooseAccount')}>
      {account && <OfAccount key={account} account={account} />}
      <Prices />
    </Page>
  );
}

function OfAccount({ account }: { account: string }) {
  const { t } = useTranslation();
  const { isNode } = useSession();
  const [topping, setTopping] = useState(false);
  const usage = useApi('/api/usage', { query: { accountId: account } });
  const transactions = useApi('/api/accounts/{id}/billing/transactions', { path: { id: account }, query: { limit: 100 } });
  const top = useAction((values: FormValues) => ask('POST', `/api/accounts/${account}/billing/transactions`, { amount: values.amount, note: values.note ?? '' }), {
    stale: [['/api/usage'], ['/api/accounts/{id}/billing/transactions'], ['/api/accounts']],
    done: t('admin.billing.booked'),
    quiet: true,
  });
  return (
    <Stack gap="lg" mb="xl">
      <Answered query={usage}>
        {(found) => (
          <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }}>
            {(
              [
                [t('admin.accounts.balance'), found.balance == null ? t('admin.accounts.unlimited') : money(found.balance, found.currency)],
                [t('admin.billing.today'), money(found.spentDay, found.currency)],
                [t('admin.billing.month'), money(found.spentMonth, found.currency)],
                [t('admin.accounts.budget'), found.budgetDaily == null ? '–' : money(found.budgetDaily, found.currency)],
                [t('admin.billing.running'), number(found.runningCalls)],
              ] as const
            ).map(([label, value]) => (
              <Card key={label} withBorder radius="md" padding="md">
                <Text size="sm" c="dimmed">
                  {label}
                </Text>
                <Text fw={700} size="xl">
                  {value}
                </Text>
              </Card>
            ))}
          </SimpleGrid>
        )}
      </Answered>
      <div>
        <Group justify="space-between" mb="xs">
          <Text component="h2" fw={650} size="lg">
            {t('admin.billing.transactions')}
          </Text>
          {isNode && (
            <Button leftSection={<IconPlus size={16} />} onClick={() => setTopping(true)}>
              {t('admin.billing.topUp')}
            </Button>
          )}
        </Group>
        <Answered query={transactions} empty={<Empty icon={IconCoins} title={t('admin.billing.noTransactions')} />}>
          {(all) => (
            <DataTable
              rows={all}
              rowId={(one) => one.id}
              label={t('admin.billing.transactions')}
              columns={[
                { id: 'at', header: t('admin.when'), title: true, sort: (one) => one.at, cell: (one) => dateTime(one.at) },
                { id: 'kind', header: t('admin.billing.kind'), sort: (one) => one.kind, cell: (one) => t(`admin.billing.kinds.${one.kind}` as 'admin.billing.kinds.call', { defaultValue: one.kind }) },
                { id: 'note', header: t('restaurant.notes'), cell: (one) => one.note || one.reference || '–' },
                { id: 'amount', header: t('admin.billing.amount'), right: true, sort: (one) => one.amount, cell: (one) => money(one.amount, one.currency) },
                { id: 'balance', header: t('admin.accounts.balance'), right: true, cell: (one) => money(one.balance, one.currency) },
              ]}
            />
          )}
        </Answered>
      </div>
      <Modal opened={topping} onClose={() => setTopping(false)} title={t('admin.billing.topUp')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {topping && (
          <SpecForm
            columns={1}
            initial={{}}
            submit={t('admin.billing.book')}
            busy={top.isPending}
            error={top.error}
            onCancel={() => setTopping(false)}
            onSubmit={(values) => top.mutate(values, { onSuccess: () => setTopping(false) })}
            fields={[
              { name: 'amount', label: t('admin.billing.amount'), kind: 'number', decimals: 2, required: true },
              { name: 'note', label: t('restaurant.notes') },
            ]}
          />
        )}
      </Modal>
    </Stack>
  );
}

function Prices() {
  const { t } = useTranslation();
  const list = useApi('/api/price-tables');
  return (
    <div>
      <Text component="h2" fw={650} size="lg" mb={4}>
        {t('admin.billing.prices')}
      </Text>
      <Text size="sm" c="dimmed" mb="xs">
        {t('admin.billing.pricesIntro')}
      </Text>
      <Answered query={list} empty={<Empty title={t('admin.billing.builtIn')} />}>
        {(all) => (
          <Table.ScrollContainer minWidth={480}>
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>{t('agents.editor.model')}</Table.Th>
                  <Table.Th>{t('admin.billing.from')}</Table.Th>
                  <Table.Th>{t('admin.accounts.currency')}</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {all.map((one) => (
                  <Table.Tr key={one.modelPrefix + one.validFrom}>
                    <Table.Td>{one.modelPrefix}</Table.Td>
                    <Table.Td>{dateTime(one.validFrom)}</Table.Td>
                    <Table.Td>{one.currency}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Answered>
    </div>
  );
}
