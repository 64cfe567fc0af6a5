// The settings of an agent by section. What is saved is only what was changed, as a merge patch on the version that was read.
import { Button, Drawer, Group, Input, JsonInput, NumberInput, Select, SimpleGrid, Slider, Stack, Switch, TagsInput, Text, Textarea, TextInput, ActionIcon, Table, Menu } from '@mantine/core';
import { IconBraces, IconEye, IconPlus, IconTrash } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { commonHeaders, PLATFORM, problemOf } from '../../api/client';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { ErrorNote, Loading } from '../../parts/Page';
import { VOICES, type Agent } from './types';

const Preview = lazy(() => import('./Preview').then((module) => ({ default: module.Preview })));

type Section = 'prompt' | 'voice' | 'transfer' | 'limits' | 'chat' | 'more';
type Draft = Record<string, unknown>;

/** Names that every template knows (docs/templates.md). */
const VARIABLES = ['ctx.caller_phone', 'ctx.customer_name', 'callerName', 'agent.name', 'local_date', 'local_time', 'weekday', 'data.', 'config.'];
/** Fields of the agent that are no settings. */
const OWN = new Set(['id', 'accountId', 'finalCustomerId', 'isActive', 'pauseReason', 'apiTokenPrefix', 'publicToken', 'version', 'etag', 'createdAt', 'updatedAt']);
const SHOWN = new Set([
  'name', 'basePrompt', 'language', 'timezone', 'greeting', 'disclosure', 'promptTime', 'promptFaq', 'aiVoice', 'aiModel', 'vadSilenceMs', 'vadThreshold', 'vadPrefixPaddingMs',
  'transferTargets', 'transferAllowedPrefixes', 'transferAutomatic', 'maxCallDurationSec', 'limits', 'chatEnabled', 'chatTitle', 'chatOrigins', 'chatOpenOnLoad', 'chatMode',
]);

const same = (a: unknown, b: unknown) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

export function Settings({ agent, section, readOnly }: { agent: Agent; section: Section; readOnly: boolean }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [draft, setDraft] = useState<Draft>({});
  const [tag, setTag] = useState(agent.etag);
  const changed = Object.keys(draft).some((name) => !same(draft[name], agent[name]));
  // Somebody else's change is taken over silently where nothing is being written here.
  useEffect(() => {
    if (!changed) setTag(agent.etag);
  }, [agent.etag, changed]);

  const value = (name: string): unknown => (name in draft ? draft[name] : agent[name]);
  const text = (name: string) => String(value(name) ?? '');
  const set = (name: string, next: unknown) => setDraft((old) => ({ ...old, [name]: next === '' ? null : next }));
  const inside = (group: string, name: string) => (value(group) as Draft | undefined)?.[name];
  const setInside = (group: string, name: string, next: unknown) => {
    const before = (value(group) as Draft | undefined) ?? {};
    const after = { ...before, [name]: next === '' ? undefined : next };
    set(group, after);
  };

  const save = useAction(
    async () => {
      const body = Object.fromEntries(Object.entries(draft).filter(([name, one]) => !same(one, agent[name])));
      const response = await fetch(`${PLATFORM}/api/agents/${agent.id}`, {
        method: 'PUT',
        credentials: 'same-origin',
        headers: { ...commonHeaders('PUT'), 'Content-Type': 'application/json', ...(tag ? { 'If-Match': tag } : {}) },
        body: JSON.stringify(body),
      });
      const answer: unknown = await response.json();
      if (!response.ok) throw { status: response.status, ...(answer as object) };
      return answer;
    },
    { stale: [['/api/agents/{id}'], ['/api/agents'], ['/api/agents/{id}/versions']], done: t('agents.editor.saved'), quiet: true },
  );
  const conflict = save.error ? problemOf(save.error).status === 412 : false;

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate(undefined, { onSuccess: () => setDraft({}) });
      }}
    >
      <fieldset disabled={readOnly} className="plain-fieldset">
        <Stack>
          {conflict ? (
            <ErrorNote error={{ status: 412, code: 'api_precondition', title: t('agents.editor.conflict'), remedy: t('agents.editor.conflictRemedy') }} />
          ) : save.error ? (
            <ErrorNote error={save.error} title={t('agents.editor.faults')} />
          ) : null}
          {section === 'prompt' && <Prompt agent={agent} text={text} set={set} value={value} inside={inside} setInside={setInside} />}
          {section === 'voice' && (
            <>
              <SimpleGrid cols={{ base: 1, sm: 2 }}>
                <Select label={t('agents.editor.voice')} data={[...new Set([...VOICES, text('aiVoice')])].filter(Boolean)} value={text('aiVoice') || null} onChange={(next) => set('aiVoice', next)} />
                <TextInput label={t('agents.editor.model')} placeholder="gpt-realtime" value={text('aiModel')} onChange={(event) => set('aiModel', event.currentTarget.value)} />
              </SimpleGrid>
              <Input.Wrapper label={t('agents.editor.patience')} description={t('agents.editor.patienceHint')} labelElement="div">
                <Slider
                  mt="md"
                  mb="xl"
                  min={200}
                  max={1500}
                  step={50}
                  disabled={readOnly}
                  value={Number(value('vadSilenceMs') ?? 500)}
                  onChange={(next) => set('vadSilenceMs', next)}
                  label={(ms) => `${ms} ms`}
                  marks={[{ value: 300, label: t('agents.editor.reactive') }, { value: 500, label: '500 ms' }, { value: 1200, label: t('agents.editor.patient') }]}
                  thumbLabel={t('agents.editor.patience')}
                />
              </Input.Wrapper>
              <SimpleGrid cols={{ base: 1, sm: 2 }}>
                <NumberInput label={t('agents.editor.threshold')} description={t('agents.editor.thresholdHint')} min={0} max={1} step={0.05} decimalScale={2} value={(value('vadThreshold') as number | undefined) ?? ''} onChange={(next) => set('vadThreshold', next)} />
                <NumberInput label={t('agents.editor.padding')} suffix=" ms" min={0} max={2000} value={(value('vadPrefixPaddingMs') as number | undefined) ?? ''} onChange={(next) => set('vadPrefixPaddingMs', next)} />
              </SimpleGrid>
            </>
          )}
          {section === 'transfer' && <Transfer value={value} set={set} />}
          {section === 'limits' && (
            <SimpleGrid cols={{ base: 1, sm: 2 }}>
              <NumberInput label={t('agents.editor.maxDuration')} description={t('agents.editor.maxDurationHint')} suffix=" s" min={0} value={(value('maxCallDurationSec') as number | undefined) ?? ''} placeholder="600" onChange={(next) => set('maxCallDurationSec', next)} />
              <NumberInput label={t('agents.editor.parallel')} min={1} value={(inside('limits', 'maxParallelCalls') as number | undefined) ?? ''} onChange={(next) => setInside('limits', 'maxParallelCalls', next)} />
              <NumberInput label={t('agents.editor.idle')} description={t('agents.editor.idleHint')} suffix=" s" min={0} value={(inside('limits', 'idleTimeoutSec') as number | undefined) ?? ''} onChange={(next) => setInside('limits', 'idleTimeoutSec', next)} />
              <NumberInput label={t('agents.editor.ring')} suffix=" s" min={0} max={60} value={(inside('limits', 'ringSec') as number | undefined) ?? ''} onChange={(next) => setInside('limits', 'ringSec', next)} />
              <NumberInput label={t('agents.editor.costMax')} description={t('agents.editor.costMaxHint')} min={0} decimalScale={2} value={(inside('limits', 'costMax') as number | undefined) ?? ''} onChange={(next) => setInside('limits', 'costMax', next)} />
              <NumberInput label={t('agents.editor.toolCalls')} min={1} max={200} placeholder="20" value={(inside('limits', 'toolCallsPerCall') as number | undefined) ?? ''} onChange={(next) => setInside('limits', 'toolCallsPerCall', next)} />
            </SimpleGrid>
          )}
          {section === 'chat' && (
            <>
              <Switch label={t('agents.editor.chatEnabled')} description={t('agents.editor.chatEnabledHint')} checked={Boolean(value('chatEnabled'))} onChange={(event) => set('chatEnabled', event.currentTarget.checked)} />
              <TextInput label={t('agents.editor.chatTitle')} value={text('chatTitle')} onChange={(event) => set('chatTitle', event.currentTarget.value)} />
              <TagsInput label={t('agents.editor.chatOrigins')} description={t('agents.editor.chatOriginsHint')} placeholder="https://www.example.fr" value={(value('chatOrigins') as string[] | undefined) ?? []} onChange={(next) => set('chatOrigins', next)} disabled={readOnly} />
              <Switch label={t('agents.editor.chatOpen')} checked={Boolean(value('chatOpenOnLoad'))} onChange={(event) => set('chatOpenOnLoad', event.currentTarget.checked)} />
            </>
          )}
          {section === 'more' && <More agent={agent} set={set} draft={draft} />}
          {!readOnly && (
            <Group justify="flex-end" className="save-bar">
              {changed && (
                <>
                  <Text size="sm" c="dimmed">
                    {t('agents.editor.unsaved')}
                  </Text>
                  <Button
                    variant="default"
                    onClick={() => {
                      setDraft({});
                      save.reset();
                      void queries.invalidateQueries({ queryKey: ['/api/agents/{id}'] });
                    }}
                  >
                    {t('agents.editor.discard')}
                  </Button>
                </>
              )}
              <Button type="submit" disabled={!changed} loading={save.isPending}>
                {t('common.save')}
              </Button>
            </Group>
          )}
        </Stack>
      </fieldset>
    </form>
  );
}

interface Parts {
  text: (name: string) => string;
  set: (name: string, next: unknown) => void;
  value: (name: string) => unknown;
  inside: (group: string, name: string) => unknown;
  setInside: (group: string, name: string, next: unknown) => void;
}

function Prompt({ agent, text, set, value, inside, setInside }: Parts & { agent: Agent }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const [looking, setLooking] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const prompt = text('basePrompt');
  function insert(name: string) {
    const at = field.current?.selectionStart ?? prompt.length;
    const next = `${prompt.slice(0, at)}{{${name}}}${prompt.slice(field.current?.selectionEnd ?? at)}`;
    set('basePrompt', next.startsWith('=') ? next : `=${next}`);
    field.current?.focus();
  }
  return (
    <>
      <SimpleGrid cols={{ base: 1, sm: 3 }}>
        <TextInput label={t('common.name')} required value={text('name')} onChange={(event) => set('name', event.currentTarget.value)} />
        <Select label={t('agents.editor.language')} data={[{ value: 'fr', label: 'Français' }, { value: 'en', label: 'English' }, { value: 'es', label: 'Español' }, { value: 'de', label: 'Deutsch' }, { value: 'it', label: 'Italiano' }]} value={text('language') || 'fr'} onChange={(next) => set('language', next)} allowDeselect={false} />
        <TextInput label={t('agents.editor.timezone')} placeholder="Europe/Paris" value={text('timezone')} onChange={(event) => set('timezone', event.currentTarget.value)} />
      </SimpleGrid>
      <div>
        <Group justify="space-between" align="flex-end" mb={4}>
          <Text component="label" htmlFor="prompt" size="sm" fw={500}>
            {t('agents.editor.prompt')}
          </Text>
          <Group gap={4}>
          {may('admin') && (
            <Button size="compact-sm" variant="subtle" leftSection={<IconEye size={14} />} onClick={() => setLooking(true)}>
              {t('agents.preview.open')}
            </Button>
          )}
          <Menu>
            <Menu.Target>
              <Button size="compact-sm" variant="subtle" leftSection={<IconBraces size={14} />}>
                {t('agents.editor.insert')}
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {VARIABLES.map((name) => (
                <Menu.Item key={name} ff="monospace" fz="sm" onClick={() => insert(name)}>
                  {`{{${name}}}`}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
          </Group>
        </Group>
        <Textarea id="prompt" ref={field} autosize minRows={12} maxRows={30} value={prompt} onChange={(event) => set('basePrompt', event.currentTarget.value)} description={t('agents.editor.promptHint')} inputWrapperOrder={['input', 'description', 'error']} />
        <Drawer opened={looking} onClose={() => setLooking(false)} position="right" size="xl" title={t('agents.preview.open')} closeButtonProps={{ 'aria-label': t('common.close') }}>
          <Suspense fallback={<Loading />}>{looking && <Preview agent={agent} prompt={prompt} />}</Suspense>
        </Drawer>
      </div>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Textarea label={t('agents.editor.greeting')} description={t('agents.editor.greetingHint')} autosize minRows={2} maxLength={400} value={String(inside('greeting', 'cachedText') ?? '')} onChange={(event) => setInside('greeting', 'cachedText', event.currentTarget.value)} />
        <Textarea label={t('agents.editor.disclosure')} description={t('agents.editor.disclosureHint')} autosize minRows={2} value={text('disclosure')} onChange={(event) => set('disclosure', event.currentTarget.value)} />
      </SimpleGrid>
      <Group gap="xl">
        <Switch label={t('agents.editor.promptTime')} checked={value('promptTime') !== false} onChange={(event) => set('promptTime', event.currentTarget.checked)} />
        <Switch label={t('agents.editor.promptFaq')} checked={value('promptFaq') !== false} onChange={(event) => set('promptFaq', event.currentTarget.checked)} />
      </Group>
    </>
  );
}

interface Target {
  name: string;
  to: string;
  when: string;
}

/** A destination is a number, or an object with a number and a description for the model. */
function readTargets(stored: unknown): Target[] {
  return Object.entries((stored as Record<string, unknown> | undefined) ?? {}).map(([name, target]) => {
    if (typeof target === 'string') return { name, to: target, when: '' };
    const it = (target ?? {}) as Record<string, string>;
    return { name, to: it.destination ?? it.number ?? it.to ?? '', when: it.description ?? '' };
  });
}

function Transfer({ value, set }: Pick<Parts, 'value' | 'set'>) {
  const { t } = useTranslation();
  const [rows, setRows] = useState<Target[]>(() => readTargets(value('transferTargets')));
  function change(next: Target[]) {
    setRows(next);
    set('transferTargets', Object.fromEntries(next.filter((row) => row.name && row.to).map((row) => [row.name, row.when ? { destination: row.to, description: row.when } : row.to])));
  }
  const edit = (index: number, field: keyof Target, text: string) => change(rows.map((row, at) => (at === index ? { ...row, [field]: text } : row)));
  return (
    <>
      <Text size="sm" c="dimmed">
        {t('agents.editor.transferIntro')}
      </Text>
      {rows.length > 0 && (
        <Table.ScrollContainer minWidth={560}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t('agents.editor.targetName')}</Table.Th>
                <Table.Th>{t('agents.editor.targetNumber')}</Table.Th>
                <Table.Th>{t('agents.editor.targetWhen')}</Table.Th>
                <Table.Th />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map((row, index) => (
                <Table.Tr key={index}>
                  <Table.Td>
                    <TextInput aria-label={t('agents.editor.targetName')} value={row.name} onChange={(event) => edit(index, 'name', event.currentTarget.value)} />
                  </Table.Td>
                  <Table.Td>
                    <TextInput aria-label={t('agents.editor.targetNumber')} placeholder="+33491234567" value={row.to} onChange={(event) => edit(index, 'to', event.currentTarget.value)} />
                  </Table.Td>
                  <Table.Td>
                    <TextInput aria-label={t('agents.editor.targetWhen')} value={row.when} onChange={(event) => edit(index, 'when', event.currentTarget.value)} />
                  </Table.Td>
                  <Table.Td>
                    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('common.removeOne', { name: row.name })} onClick={() => change(rows.filter((_, at) => at !== index))}>
                      <IconTrash size={18} />
                    </ActionIcon>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      <Group>
        <Button variant="default" size="xs" leftSection={<IconPlus size={14} />} onClick={() => setRows([...rows, { name: '', to: '', when: '' }])}>
          {t('agents.editor.targetAdd')}
        </Button>
      </Group>
      <TagsInput label={t('agents.editor.prefixes')} description={t('agents.editor.prefixesHint')} placeholder="+33" value={(value('transferAllowedPrefixes') as string[] | undefined) ?? []} onChange={(next) => set('transferAllowedPrefixes', next)} />
      <Switch label={t('agents.editor.automatic')} description={t('agents.editor.automaticHint')} checked={Boolean(value('transferAutomatic'))} onChange={(event) => set('transferAutomatic', event.currentTarget.checked)} />
    </>
  );
}

/** Every other setting as JSON: nothing of an agent is out of reach. */
function More({ agent, set, draft }: { agent: Agent; set: (name: string, next: unknown) => void; draft: Draft }) {
  const { t } = useTranslation();
  const rest = Object.fromEntries(Object.entries(agent).filter(([name]) => !OWN.has(name) && !SHOWN.has(name)));
  const [text, setText] = useState(() => JSON.stringify(rest, null, 2));
  const untouched = Object.keys(draft).length === 0;
  const before = useRef(untouched);
  useEffect(() => {
    if (untouched && !before.current) setText(JSON.stringify(rest, null, 2));
    before.current = untouched;
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only when the draft was thrown away or saved
  }, [untouched]);
  return (
    <JsonInput
      label={t('agents.editor.json')}
      description={t('agents.editor.jsonHint')}
      autosize
      minRows={14}
      maxRows={40}
      formatOnBlur
      spellCheck={false}
      validationError={t('agents.editor.jsonInvalid')}
      value={text}
      onChange={(next) => {
        setText(next);
        try {
          const parsed = JSON.parse(next) as Draft;
          for (const name of new Set([...Object.keys(parsed), ...Object.keys(rest)])) {
            if (OWN.has(name)) continue;
            if (!same(parsed[name], name in draft ? draft[name] : agent[name])) set(name, parsed[name] ?? null);
          }
        } catch {
          // While it is being typed it is no JSON yet.
        }
      }}
    />
  );
}
