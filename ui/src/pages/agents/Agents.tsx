// The agents: who answers, in which state, and the way into each.
import { Anchor, Button, Group, Modal, Radio, Select, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { IconCopy, IconPlayerPause, IconPlayerPlay, IconPlus, IconRobot } from '@tabler/icons-react';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi } from '../../api/client';
import { useSession } from '../../api/session';
import { Copyable, IconButton, useAction } from '../../parts/actions';
import type { Column } from '../../parts/DataTable';
import { EntityPage } from '../../parts/EntityPage';
import { dateTime } from '../../parts/format';
import { ErrorNote } from '../../parts/Page';
import { StateBadge } from '../../parts/StateBadge';
import { TEMPLATES, VOICES, type Agent } from './types';

export function Agents() {
  const { t } = useTranslation();
  const { accountId, may, isNode, accountName } = useSession();
  const list = useApi('/api/agents', { query: { accountId, limit: 500 } });
  const [making, setMaking] = useState(false);
  const stale = [['/api/agents']];
  const pause = useAction((agent: Agent) => ask('POST', `/api/agents/${agent.id}/pause`, {}), { stale, done: (_, agent) => t('agents.list.paused', { name: agent.name }) });
  const resume = useAction((agent: Agent) => ask('POST', `/api/agents/${agent.id}/resume`), { stale, done: (_, agent) => t('agents.list.resumed', { name: agent.name }) });
  const copy = useAction((agent: Agent) => ask('POST', `/api/agents/${agent.id}/duplicate`, { name: t('agents.list.copyName', { name: agent.name }) }), { stale, done: t('agents.list.copied') });
  const remove = useAction((agent: Agent) => ask('DELETE', `/api/agents/${agent.id}`), { stale, done: (_, agent) => t('agents.list.removed', { name: agent.name }) });

  const columns: Column<Agent>[] = [
    {
      id: 'name',
      header: t('common.name'),
      title: true,
      sort: (agent) => agent.name.toLowerCase(),
      cell: (agent) => (
        <Stack gap={0}>
          <Anchor component={Link} to={`/agents/${agent.id}`} size="sm" fw={600}>
            {agent.name}
          </Anchor>
          {isNode && !accountId && (
            <Text size="xs" c="dimmed">
              {accountName(agent.accountId)}
            </Text>
          )}
        </Stack>
      ),
    },
    {
      id: 'state',
      header: t('agents.list.state'),
      sort: (agent) => (agent.isActive ? 0 : 1),
      cell: (agent) => (
        <Stack gap={2} align="flex-start">
          <StateBadge tone={agent.isActive ? 'good' : 'pause'}>{agent.isActive ? t('agents.list.active') : t('agents.list.isPaused')}</StateBadge>
          {agent.pauseReason && (
            <Text size="xs" c="dimmed">
              {agent.pauseReason}
            </Text>
          )}
        </Stack>
      ),
    },
    { id: 'voice', header: t('agents.editor.voice'), sort: (agent) => String(agent.aiVoice ?? ''), cell: (agent) => String(agent.aiVoice ?? '–') },
    { id: 'version', header: t('agents.list.version'), right: true, sort: (agent) => agent.version, cell: (agent) => agent.version },
    { id: 'updated', header: t('agents.list.updated'), right: true, sort: (agent) => agent.updatedAt, cell: (agent) => dateTime(agent.updatedAt) },
  ];
  return (
    <>
      <EntityPage
        title={t('agents.list.title')}
        intro={t('agents.list.intro')}
        query={{ ...list, data: list.data as unknown as Agent[] | undefined }}
        columns={columns}
        rowId={(agent) => agent.id}
        nameOf={(agent) => agent.name}
        icon={IconRobot}
        emptyTitle={t('agents.list.empty')}
        emptyHint={t('agents.list.emptyHint')}
        actions={
          may('admin') && (
            <Button leftSection={<IconPlus size={16} />} onClick={() => setMaking(true)}>
              {t('agents.list.add')}
            </Button>
          )
        }
        more={
          may('operator')
            ? (agent) => (
                <>
                  {agent.isActive ? (
                    <IconButton label={t('agents.list.pauseOne', { name: agent.name })} icon={IconPlayerPause} onClick={() => pause.mutate(agent)} />
                  ) : (
                    <IconButton label={t('agents.list.resumeOne', { name: agent.name })} icon={IconPlayerPlay} onClick={() => resume.mutate(agent)} />
                  )}
                  {may('admin') && <IconButton label={t('agents.list.copyOne', { name: agent.name })} icon={IconCopy} onClick={() => copy.mutate(agent)} />}
                </>
              )
            : undefined
        }
        remove={may('admin') ? { text: t('agents.list.removeText'), run: (agent) => remove.mutate(agent) } : undefined}
      />
      <Modal opened={making} onClose={() => setMaking(false)} size="lg" title={t('agents.list.add')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {making && <NewAgent />}
      </Modal>
    </>
  );
}

/** Without it an agent could only wait for its caller to hang up. */
const END_CALL = {
  name: 'end_call',
  description: 'Ends the call, once goodbye was said.',
  parameters: { type: 'object', properties: {} },
  http: null,
  triggersHangup: true,
  mutesClientAudio: true,
  skipResponseCreate: true,
};

/** From a template; `done` takes the place of the way to the agent. */
export function NewAgent({ done, engine }: { done?: () => void; engine?: { provider: string; url?: string; model?: string } }) {
  const { t, i18n } = useTranslation();
  const { accountId, accounts } = useSession();
  const navigate = useNavigate();
  const [template, setTemplate] = useState<(typeof TEMPLATES)[number]>('reception');
  const [name, setName] = useState('');
  const [voice, setVoice] = useState('sage');
  const [account, setAccount] = useState(accountId ?? accounts[0]?.id ?? '');
  const make = useAction(
    () =>
      ask<Agent & { apiToken: string }>('POST', '/api/agents', {
        accountId: account || undefined,
        name: name.trim(),
        aiVoice: voice,
        language: i18n.language,
        maxCallDurationSec: 600,
        ...(engine ? { engine } : {}),
        tools: [END_CALL],
        basePrompt: t(`agents.templates.${template}.prompt`, { name: name.trim() }),
      }),
    { stale: [['/api/agents']], quiet: true },
  );
  if (make.data) {
    return (
      <Stack>
        <Text size="sm">{t('agents.list.tokenOnce')}</Text>
        <Copyable value={make.data.apiToken} label={t('agents.list.token')} />
        <Button onClick={() => (done ? done() : void navigate({ to: `/agents/${make.data.id}` as '/live' }))}>{done ? t('common.close') : t('agents.list.open')}</Button>
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) make.mutate(undefined);
      }}
    >
      <Stack>
        {make.error ? <ErrorNote error={make.error} /> : null}
        <Radio.Group value={template} onChange={(value) => setTemplate(value as typeof template)} label={t('agents.list.template')}>
          <SimpleGrid cols={{ base: 1, sm: 3 }} mt="xs">
            {TEMPLATES.map((one) => (
              <Radio.Card key={one} value={one} p="md" radius="md">
                <Group wrap="nowrap" align="flex-start">
                  <Radio.Indicator />
                  <div>
                    <Text fw={600} size="sm">
                      {t(`agents.templates.${one}.name`)}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {t(`agents.templates.${one}.about`)}
                    </Text>
                  </div>
                </Group>
              </Radio.Card>
            ))}
          </SimpleGrid>
        </Radio.Group>
        <TextInput label={t('agents.list.house')} description={t('agents.list.houseHint')} required value={name} onChange={(event) => setName(event.currentTarget.value)} data-autofocus />
        <Select label={t('agents.editor.voice')} data={VOICES} value={voice} onChange={(value) => setVoice(value ?? 'sage')} allowDeselect={false} />
        {!accountId && accounts.length > 1 && <Select label={t('common.account')} data={accounts.map((one) => ({ value: one.id, label: one.name }))} value={account} onChange={(value) => setAccount(value ?? '')} allowDeselect={false} />}
        <Group justify="flex-end">
          <Button type="submit" loading={make.isPending} disabled={!name.trim()}>
            {t('common.create')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

