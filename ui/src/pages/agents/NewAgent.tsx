import { Button, Group, Radio, Select, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useSession } from '../../api/session';
import { Copyable, useAction } from '../../parts/actions';
import { AccountSelect, FormEnd } from '../../parts/fields';
import { ErrorNote } from '../../parts/Page';
import { TEMPLATES, VOICES, type Agent } from './types';

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
        <AccountSelect value={account} onChange={(value) => setAccount(value ?? '')} />
        <FormEnd submit={t('common.create')} busy={make.isPending} disabled={!name.trim()} />
      </Stack>
    </form>
  );
}

