import { IconPhoneOff } from '@tabler/icons-react';
import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { ask, useApi, WHOLE } from '../../api/client';
import { useAgentNames, useAgents } from '../../api/names';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime, phone } from '../../parts/format';
import { SpecForm, type FormValues } from '../../parts/SpecForm';

interface Blocked {
  id: string;
  phoneNumber: string;
  agentId?: string | null;
  reason?: string | null;
  createdAt: string;
}

/** Numbers whose calls are refused, by all agents of the account or by one. */
export function BlockedNumbers() {
  const { t } = useTranslation();
  const { may, accountId, accounts } = useSession();
  const list = useApi('/api/blocked-numbers', { query: { accountId, limit: WHOLE } });
  const agents = useAgents();
  const agentName = useAgentNames();
  const stale = [['/api/blocked-numbers']];
  const block = useAction((values: FormValues) => ask('POST', '/api/blocked-numbers', { accountId: accountId ?? accounts[0]?.id, ...values }), { stale, done: t('agents.blocked.done'), quiet: true });
  const remove = useAction((one: Blocked) => ask('DELETE', `/api/blocked-numbers/${one.id}`), { stale, done: t('agents.blocked.removed') });
  return (
    <EntityPage
      title={t('agents.blocked.title')}
      intro={t('agents.blocked.intro')}
      query={list}
      rowId={(one) => one.id}
      nameOf={(one) => phone(one.phoneNumber)}
      icon={IconPhoneOff}
      emptyTitle={t('agents.blocked.empty')}
      add={may('operator') ? t('agents.blocked.add') : undefined}
      canEdit={() => false}
      columns={[
        { id: 'number', header: t('calls.history.number'), title: true, sort: (one) => one.phoneNumber, cell: (one) => <Text size="sm" fw={600}>{phone(one.phoneNumber)}</Text> },
        { id: 'agent', header: t('agents.workflows.agent'), cell: (one) => (one.agentId ? agentName(one.agentId) : t('agents.blocked.allAgents')) },
        { id: 'reason', header: t('agents.blocked.reason'), cell: (one) => one.reason ?? '–' },
        { id: 'since', header: t('agents.blocked.since'), right: true, sort: (one) => one.createdAt, cell: (one) => dateTime(one.createdAt) },
      ]}
      remove={may('operator') ? { text: t('agents.blocked.removeText'), run: (one) => remove.mutate(one) } : undefined}
      form={
        may('operator')
          ? (_, close) => (
              <SpecForm
                columns={1}
                initial={{}}
                submit={t('agents.blocked.add')}
                busy={block.isPending}
                error={block.error}
                onCancel={close}
                onSubmit={(values) => block.mutate(values, { onSuccess: close })}
                fields={[
                  { name: 'phoneNumber', label: t('calls.history.number'), kind: 'tel', required: true, placeholder: '+33612345678' },
                  { name: 'agentId', label: t('agents.workflows.agent'), kind: 'select', placeholder: t('agents.blocked.allAgents'), options: (agents.data ?? []).map((agent) => ({ value: agent.id, label: agent.name })) },
                  { name: 'reason', label: t('agents.blocked.reason') },
                ]}
              />
            )
          : undefined
      }
      size="md"
    />
  );
}
