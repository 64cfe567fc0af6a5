// The settings of an agent by section. What is saved is only what was changed, as a merge patch on the version that was read.
import { Button, Drawer, Group, Menu, Select, SimpleGrid, Stack, Switch, Text, Textarea, TextInput } from '@mantine/core';
import { IconBraces, IconEye } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { commonHeaders, PLATFORM, problemOf } from '../../api/client';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { ErrorNote, Loading } from '../../parts/Page';
import type { Agent } from './types';

const OtherSection = lazy(() => import('./OtherSection').then((module) => ({ default: module.OtherSection })));
const Preview = lazy(() => import('./Preview').then((module) => ({ default: module.Preview })));

export type Section = 'prompt' | 'voice' | 'transfer' | 'limits' | 'chat' | 'more';
export type Draft = Record<string, unknown>;

/** Names that every template knows (docs/templates.md). */
const VARIABLES = ['ctx.caller_phone', 'ctx.customer_name', 'callerName', 'agent.name', 'local_date', 'local_time', 'weekday', 'data.', 'config.'];
export const same = (a: unknown, b: unknown) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

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
  // What is as it was is no change: somebody else's save of it is not written over later.
  const set = (name: string, next: unknown) =>
    setDraft(({ [name]: _, ...others }) => (same(next === '' ? null : next, agent[name]) ? others : { ...others, [name]: next === '' ? null : next }));
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
          {section !== 'prompt' && (
            <Suspense fallback={<Loading />}>
              <OtherSection agent={agent} section={section} readOnly={readOnly} draft={draft} text={text} set={set} value={value} inside={inside} setInside={setInside} />
            </Suspense>
          )}
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

export interface Parts {
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
