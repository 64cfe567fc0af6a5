// Who changed what: read only, and the database refuses to change a line of it.
import { Badge, Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { IconShieldLock } from '@tabler/icons-react';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { client, type Schemas } from '../../api/client';
import { useSession } from '../../api/session';
import { DataTable } from '../../parts/DataTable';
import { dateTime } from '../../parts/format';
import { Answered, Empty, Page } from '../../parts/Page';
import { useUrlState } from '../../parts/useUrlState';
import classes from '../calls/Calls.module.css';

type Entry = Schemas['AuditView'];

export function Audit() {
  const { t } = useTranslation();
  const { accountId } = useSession();
  const [entity, setEntity] = useUrlState('entity');
  const [action, setAction] = useUrlState('action');
  const query = { accountId, entity: entity || undefined, action: action || undefined };
  const list = useInfiniteQuery({
    queryKey: ['audit', query],
    initialPageParam: '',
    queryFn: async ({ pageParam }) => {
      const { data, error, response } = await client.GET('/api/audit', { params: { query: { ...query, limit: 100, cursor: pageParam || undefined } } });
      if (error) throw error;
      return { rows: data, next: response.headers.get('X-Next-Cursor') ?? '' };
    },
    getNextPageParam: (last) => last.next || undefined,
  });
  const rows = list.data?.pages.flatMap((page) => page.rows);
  return (
    <Page wide title={t('admin.audit.title')} intro={t('admin.audit.intro')}>
      <Group mb="md">
        <TextInput label={t('admin.audit.entity')} placeholder="agent" value={entity} onChange={(event) => setEntity(event.currentTarget.value.trim())} />
        <TextInput label={t('admin.audit.action')} placeholder="updated" value={action} onChange={(event) => setAction(event.currentTarget.value.trim())} />
      </Group>
      <Answered query={{ data: rows, error: list.error, isPending: list.isPending, refetch: list.refetch }} empty={<Empty icon={IconShieldLock} title={t('admin.audit.empty')} />}>
        {(all) => (
          <Stack>
            <DataTable<Entry>
              rows={all}
              rowId={(one) => one.id}
              label={t('admin.audit.title')}
              columns={[
                { id: 'at', header: t('admin.when'), sort: (one) => one.at, cell: (one) => dateTime(one.at) },
                {
                  id: 'who',
                  header: t('admin.audit.who'),
                  title: true,
                  sort: (one) => one.actorName,
                  cell: (one) => (
                    <Stack gap={0}>
                      <Text size="sm" fw={600}>
                        {one.actorName || one.actorKind}
                      </Text>
                      <Text size="xs" c="dimmed">
                        {[one.actorKind, one.address].filter(Boolean).join(' · ')}
                      </Text>
                    </Stack>
                  ),
                },
                { id: 'what', header: t('admin.audit.what'), sort: (one) => `${one.entity} ${one.action}`, cell: (one) => <Group gap={4}><Badge color="gray">{one.entity}</Badge><Text size="sm">{one.action}</Text></Group> },
                { id: 'id', header: 'Id', cell: (one) => <Text size="xs" ff="monospace">{one.entityId}</Text>, wideOnly: true },
                {
                  id: 'detail',
                  header: t('admin.audit.detail'),
                  cell: (one) =>
                    one.detail ? (
                      <details>
                        <summary>{t('admin.audit.look')}</summary>
                        <pre className={classes.pre}>{JSON.stringify(one.detail, null, 2)}</pre>
                      </details>
                    ) : (
                      '–'
                    ),
                },
              ]}
            />
            {list.hasNextPage && (
              <Button variant="default" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()} style={{ alignSelf: 'center' }}>
                {t('admin.audit.older')}
              </Button>
            )}
          </Stack>
        )}
      </Answered>
    </Page>
  );
}
