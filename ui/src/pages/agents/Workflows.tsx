// Workflows: which numbers lead to which agent, by which account; versions and the way back.
import { Badge, Button, Drawer, Group, Stack, Text } from '@mantine/core';
import { IconHistory, IconRoute, IconSitemap } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useAgentNames, useAgents, useLineNames } from '../../api/names';
import { useSession } from '../../api/session';
import { IconButton, useAction } from '../../parts/actions';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime, phone } from '../../parts/format';
import { Answered, Loading } from '../../parts/Page';
import { SpecForm, type FormValues } from '../../parts/SpecForm';
import { StateBadge } from '../../parts/StateBadge';
import { DISTRIBUTIONS, stale, type Definition, type Workflow } from './workflow';

const Builder = lazy(() => import('./WorkflowBuilder').then((module) => ({ default: module.WorkflowBuilder })));

export function Workflows() {
  const { t } = useTranslation();
  const { may, accountId, accounts } = useSession();
  const list = useOfAccounts<Workflow>('/api/admin/workflows', 'account_id');
  const agents = useAgents();
  const lines = useOfAccounts<{ id: string; label: string; account_id?: string }>('/api/admin/sip-accounts', 'account_id');
  const [drawing, setDrawing] = useState<Workflow | null>(null);
  const agentName = useAgentNames();
  const lineName = useLineNames();
  const [history, setHistory] = useState<Workflow | null>(null);
  const remove = useAction((one: Workflow) => ask('DELETE', `/api/admin/workflows/${one.id}`), { stale, done: (_, one) => t('agents.workflows.removed', { name: one.name }) });
  return (
    <EntityPage
      title={t('agents.workflows.title')}
      intro={t('agents.workflows.intro')}
      query={list}
      byAccount
      rowId={(one) => one.id}
      nameOf={(one) => one.name}
      icon={IconRoute}
      emptyTitle={t('agents.workflows.empty')}
      emptyHint={may('admin') ? t('agents.workflows.emptyHint') : t('common.askAdmin')}
      add={may('admin') ? t('agents.workflows.add') : undefined}
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
              <Text size="xs" c="dimmed" ff="monospace">
                {one.slug}
              </Text>
            </Stack>
          ),
        },
        { id: 'state', header: t('agents.list.state'), sort: (one) => (one.is_active ? 0 : 1), cell: (one) => <StateBadge tone={one.is_active ? 'good' : 'off'}>{one.is_active ? t('telephony.sip.active') : t('telephony.sip.inactive')}</StateBadge> },
        { id: 'numbers', header: t('agents.workflows.numbers'), cell: (one) => <Group gap={4}>{(one.definition?.phone_numbers ?? []).map((number) => <Badge key={number} color="gray">{phone(number)}</Badge>)}</Group> },
        { id: 'agent', header: t('agents.workflows.agent'), cell: (one) => agentName(one.definition?.agent_id) },
        { id: 'account', header: t('agents.workflows.account'), cell: (one) => (one.definition?.sip_account_id ? lineName(one.definition.sip_account_id) : t('agents.workflows.defaultAccount')) },
        { id: 'version', header: t('agents.list.version'), right: true, cell: (one) => one.definition?.version ?? '–' },
      ]}
      more={(one) => (
        <>
          {may('admin') && <IconButton label={t('agents.workflows.drawOne', { name: one.name })} icon={IconSitemap} onClick={() => setDrawing(one)} />}
          <IconButton label={t('agents.workflows.historyOne', { name: one.name })} icon={IconHistory} onClick={() => setHistory(one)} />
        </>
      )}
      remove={may('admin') ? { text: t('agents.workflows.removeText'), run: (one) => remove.mutate(one) } : undefined}
      form={
        may('admin')
          ? (one, close) => (
              <WorkflowForm one={one} close={close} account={accountId ?? accounts[0]?.id} agents={agents.data ?? []} lines={lines.data ?? []} />
            )
          : undefined
      }
    >
      <Drawer opened={drawing !== null} onClose={() => setDrawing(null)} position="right" size={900} title={drawing ? t('agents.workflows.drawOne', { name: drawing.name }) : ''} closeButtonProps={{ 'aria-label': t('common.close') }}>
        <Suspense fallback={<Loading />}>{drawing && <Builder key={drawing.id} one={drawing} agents={agents.data ?? []} lines={lines.data ?? []} close={() => setDrawing(null)} />}</Suspense>
      </Drawer>
      <Drawer opened={history !== null} onClose={() => setHistory(null)} position="right" size="md" title={history ? t('agents.workflows.historyOne', { name: history.name }) : ''} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {history && <Versions one={history} mayWrite={may('admin')} />}
      </Drawer>
    </EntityPage>
  );
}

function WorkflowForm({ one, close, account, agents, lines }: { one: Workflow | null; close: () => void; account: string | undefined; agents: { id: string; name: string }[]; lines: { id: string; label: string }[] }) {
  const { t } = useTranslation();
  const save = useAction(
    (values: FormValues) => {
      const sent = { ...values, phone_numbers: values.phone_numbers ?? [], distribution: values.distribution ?? 'selected' };
      return one ? ask('PATCH', `/api/admin/workflows/${one.id}`, sent) : ask('POST', '/api/admin/workflows', { account_id: account, ...sent });
    },
    { stale, done: t('agents.workflows.saved'), quiet: true },
  );
  return (
    <SpecForm
      submit={one ? t('common.save') : t('common.create')}
      busy={save.isPending}
      error={save.error}
      onCancel={close}
      onSubmit={(values) => save.mutate(values, { onSuccess: close })}
      initial={one ? { ...one, ...one.definition, note: '' } : { is_active: true, distribution: 'selected' }}
      fields={[
        { name: 'name', label: t('common.name'), required: true },
        { name: 'slug', label: t('agents.workflows.slug'), hint: t('agents.workflows.slugHint'), required: true, check: (value) => (/^[a-z0-9][a-z0-9_-]*$/.test(String(value)) ? null : t('agents.workflows.slugInvalid')) },
        { name: 'phone_numbers', label: t('agents.workflows.numbers'), hint: t('agents.workflows.numbersHint'), kind: 'tags', wide: true },
        { name: 'agent_id', label: t('agents.workflows.agent'), kind: 'select', options: agents.map((agent) => ({ value: agent.id, label: agent.name })) },
        { name: 'sip_account_id', label: t('agents.workflows.account'), hint: t('agents.workflows.accountHint'), kind: 'select', placeholder: t('agents.workflows.defaultAccount'), options: lines.map((line) => ({ value: line.id, label: line.label })) },
        { name: 'distribution', label: t('agents.workflows.distribution'), kind: 'select', required: true, options: DISTRIBUTIONS.map((value) => ({ value, label: t(`agents.workflows.distributions.${value}`) })) },
        { name: 'ring_timeout_s', label: t('agents.workflows.ring'), kind: 'number', min: 5, max: 120, suffix: ' s' },
        { name: 'description', label: t('agents.workflows.description'), kind: 'area' },
        ...(one ? [{ name: 'note', label: t('agents.workflows.note'), hint: t('agents.workflows.noteHint'), wide: true }] : []),
        { name: 'is_active', label: t('telephony.sip.active'), kind: 'switch' as const },
      ]}
    />
  );
}

function Versions({ one, mayWrite }: { one: Workflow; mayWrite: boolean }) {
  const { t } = useTranslation();
  const agentName = useAgentNames();
  const lineName = useLineNames();
  const list = useQuery({ queryKey: ['workflow-versions', one.id], queryFn: () => ask<Definition[]>('GET', `/api/admin/workflows/${one.id}/versions`) });
  const back = useAction((version: number) => ask('POST', `/api/admin/workflows/${one.id}/versions/${version}/roll-back`), { stale, done: (_, version) => t('agents.versions.back', { version }) });
  return (
    <Answered query={list}>
      {(all) => (
        <Stack>
          {all.map((version) => (
            <div key={version.version}>
              <Group gap={6}>
                <Text fw={600}>{t('agents.editor.versionOf', { version: version.version })}</Text>
                {version.is_active && <Badge color="allo">{t('agents.workflows.published')}</Badge>}
                <Text size="xs" c="dimmed">
                  {dateTime(version.created_at)} · {version.author}
                </Text>
              </Group>
              <Text size="sm">
                {version.phone_numbers.map(phone).join(', ') || '–'} → {agentName(version.agent_id)} ({version.sip_account_id ? lineName(version.sip_account_id) : t('agents.workflows.defaultAccount')})
              </Text>
              {version.note && <Text size="sm" c="dimmed">{version.note}</Text>}
              {mayWrite && !version.is_active && (
                <Button size="compact-sm" variant="default" mt={4} loading={back.isPending} onClick={() => back.mutate(version.version)}>
                  {t('agents.versions.restore', { version: version.version })}
                </Button>
              )}
            </div>
          ))}
        </Stack>
      )}
    </Answered>
  );
}
