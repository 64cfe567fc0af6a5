// What was sent to other houses, what they answered, and sending again.
import { Badge, Button, Drawer, SegmentedControl, Stack, Text } from '@mantine/core';
import { IconEye, IconRepeat, IconWebhook } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useSession } from '../../api/session';
import { IconButton, useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime } from '../../parts/format';
import { Answered } from '../../parts/Page';
import { StateBadge, type Tone } from '../../parts/StateBadge';
import { useUrlState } from '../../parts/useUrlState';
import classes from '../calls/Calls.module.css';

interface Delivery {
  id: string;
  callId?: string | null;
  kind: string;
  url: string;
  state: string;
  attempts: number;
  lastStatus?: number | null;
  lastError?: string | null;
  createdAt: string;
  nextAttemptAt?: string | null;
}

const TONE: Record<string, Tone> = { delivered: 'good', pending: 'wait', dead: 'bad' };

export function Webhooks() {
  const { t } = useTranslation();
  const { may } = useSession();
  const [state, setState] = useUrlState('state', 'all');
  const [shown, setShown] = useState<Delivery | null>(null);
  const list = useOfAccounts<Delivery>('/api/webhooks', 'accountId', { query: { state: state === 'all' ? undefined : state }, refetchInterval: 10_000, newest: true });
  const replay = useAction((one: Delivery) => ask('POST', `/api/webhooks/${one.id}/replay`), { stale: [['/api/webhooks']], done: t('admin.webhooks.replayed') });
  return (
    <EntityPage
      title={t('admin.webhooks.title')}
      intro={t('admin.webhooks.intro')}
      query={list}
      byAccount
      rowId={(one) => one.id}
      nameOf={(one) => `${one.kind} ${one.url}`}
      icon={IconWebhook}
      emptyTitle={t('admin.webhooks.empty')}
      filters={<SegmentedControl mb="md" value={state} onChange={setState} aria-label={t('admin.state')} data={(['all', 'pending', 'delivered', 'dead'] as const).map((value) => ({ value, label: t(`admin.webhooks.states.${value}`) }))} />}
      columns={[
        { id: 'when', header: t('admin.when'), sort: (one) => one.createdAt, cell: (one) => dateTime(one.createdAt) },
        { id: 'kind', header: t('admin.webhooks.kind'), title: true, sort: (one) => one.kind, cell: (one) => <Badge color="gray">{one.kind}</Badge> },
        { id: 'url', header: t('admin.webhooks.url'), cell: (one) => <Text size="sm" ff="monospace" lineClamp={2}>{one.url}</Text> },
        {
          id: 'state',
          header: t('admin.state'),
          sort: (one) => one.state,
          cell: (one) => (
            <Stack gap={2} align="flex-start">
              <StateBadge tone={TONE[one.state] ?? 'wait'}>{t(`admin.webhooks.states.${one.state}` as 'admin.webhooks.states.all', { defaultValue: one.state })}</StateBadge>
              {one.lastError && (
                <Text size="xs" c="dimmed">
                  {one.lastError}
                </Text>
              )}
            </Stack>
          ),
        },
        { id: 'status', header: 'HTTP', right: true, cell: (one) => one.lastStatus ?? '–' },
        { id: 'attempts', header: t('admin.webhooks.attempts'), right: true, sort: (one) => one.attempts, cell: (one) => one.attempts },
        { id: 'call', header: t('calls.call.title'), cell: (one) => (one.callId ? <Link to={`/calls/${one.callId}` as '/live'}>{t('admin.webhooks.call')}</Link> : '–') },
      ]}
      more={(one) => (
        <>
          <IconButton label={t('admin.webhooks.look')} icon={IconEye} onClick={() => setShown(one)} />
          {may('operator') && <IconButton label={t('admin.webhooks.replay')} icon={IconRepeat} onClick={() => replay.mutate(one)} />}
        </>
      )}
    >
      <Drawer opened={shown !== null} onClose={() => setShown(null)} position="right" size="lg" title={shown?.kind} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {shown && (
          <Stack>
            <Body id={shown.id} />
            {may('operator') && (
              <Button variant="default" leftSection={<IconRepeat size={16} />} loading={replay.isPending} onClick={() => replay.mutate(shown)}>
                {t('admin.webhooks.replay')}
              </Button>
            )}
          </Stack>
        )}
      </Drawer>
    </EntityPage>
  );
}

function Body({ id }: { id: string }) {
  const { t } = useTranslation();
  const one = useApi('/api/webhooks/{id}', { path: { id } });
  const pretty = (text: string | null | undefined) => {
    try {
      return JSON.stringify(JSON.parse(text ?? ''), null, 2);
    } catch {
      return text ?? '–';
    }
  };
  return (
    <Answered query={one}>
      {(found) => (
        <>
          <Text size="sm" ff="monospace">
            {found.url}
          </Text>
          <pre className={classes.pre} tabIndex={0} aria-label={t('admin.webhooks.body')}>
            {pretty(found.body)}
          </pre>
        </>
      )}
    </Answered>
  );
}
