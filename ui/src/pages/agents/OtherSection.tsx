// Every section of an agent's settings but its prompt: they come when their tab is opened.
import { ActionIcon, Button, Group, Input, JsonInput, NumberInput, Select, SimpleGrid, Slider, Switch, Table, TagsInput, Text, TextInput } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { TargetMore } from './TargetMore';
import { same, type Draft, type Parts, type Section } from './Settings';
import { VOICES, type Agent } from './types';

/** Fields of the agent that are no settings. */
const OWN = new Set(['id', 'accountId', 'finalCustomerId', 'isActive', 'pauseReason', 'apiTokenPrefix', 'publicToken', 'version', 'etag', 'createdAt', 'updatedAt']);
const SHOWN = new Set([
  'name', 'basePrompt', 'language', 'timezone', 'greeting', 'disclosure', 'promptTime', 'promptFaq', 'aiVoice', 'aiModel', 'vadSilenceMs', 'vadThreshold', 'vadPrefixPaddingMs',
  'transferTargets', 'transferAllowedPrefixes', 'transferAutomatic', 'maxCallDurationSec', 'parkingTimeoutSec', 'limits', 'chatEnabled', 'chatTitle', 'chatOrigins', 'chatOpenOnLoad', 'chatMode',
]);

export function OtherSection({ agent, section, readOnly, draft, text, set, value, inside, setInside }: Parts & { agent: Agent; section: Section; readOnly: boolean; draft: Draft }) {
  const { t } = useTranslation();
  return (
    <>
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
          <NumberInput label={t('agents.editor.parking')} description={t('agents.editor.parkingHint')} suffix=" s" min={10} max={3600} value={(value('parkingTimeoutSec') as number | undefined) ?? ''} placeholder="120" onChange={(next) => set('parkingTimeoutSec', next)} />
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
    </>
  );
}

const MODES = ['auto', 'refer', 'bridge', 'attended', 'conference'] as const;

interface Target {
  name: string;
  to: string;
  when: string;
  mode: string;
  /** What else the destination says, which has no field here and is kept. */
  rest: Record<string, unknown>;
}

/** A destination is a number, or an object with a number, a description for the model and how the caller gets there. */
function readTargets(stored: unknown): Target[] {
  return Object.entries((stored as Record<string, unknown> | undefined) ?? {}).map(([name, target]) => {
    if (typeof target === 'string') return { name, to: target, when: '', mode: 'auto', rest: {} };
    const { destination, number, to, description, mode, ...rest } = (target ?? {}) as Record<string, string>;
    return { name, to: destination ?? number ?? to ?? '', when: description ?? '', mode: mode ?? 'auto', rest };
  });
}

function writeTarget({ to, when, mode, rest }: Target): unknown {
  const more = { ...rest, ...(when && { description: when }), ...(mode !== 'auto' && { mode }) };
  return Object.keys(more).length > 0 ? { destination: to, ...more } : to;
}

/** What is stored of these rows: one without a name or a number is still being written. */
function written(rows: Target[]): Record<string, unknown> {
  return Object.fromEntries(rows.filter((row) => row.name && row.to).map((row) => [row.name, writeTarget(row)]));
}

function Transfer({ value, set }: Pick<Parts, 'value' | 'set'>) {
  const { t } = useTranslation();
  const stored = value('transferTargets');
  const [known, setKnown] = useState(stored);
  const [rows, setRows] = useState<Target[]>(() => readTargets(stored));
  // Thrown away here, or saved by somebody else: the rows are those that are stored now.
  if (!same(stored, known)) {
    setKnown(stored);
    if (!same(stored, written(rows))) setRows(readTargets(stored));
  }
  function change(next: Target[]) {
    setRows(next);
    set('transferTargets', written(next));
  }
  const isTaken = (index: number) => rows.some((row, at) => at < index && row.name !== '' && row.name === rows[index]?.name);
  const edit = (index: number, field: Exclude<keyof Target, 'rest'>, text: string) => change(rows.map((row, at) => (at === index ? { ...row, [field]: text } : row)));
  return (
    <>
      <Text size="sm" c="dimmed">
        {t('agents.editor.transferIntro')}
      </Text>
      {rows.length > 0 && (
        <Table.ScrollContainer minWidth={720}>
          <Table>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t('agents.editor.targetName')}</Table.Th>
                <Table.Th>{t('agents.editor.targetNumber')}</Table.Th>
                <Table.Th>{t('agents.editor.targetWhen')}</Table.Th>
                <Table.Th>{t('agents.editor.targetMode')}</Table.Th>
                <Table.Th />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.flatMap((row, index) => [
                <Table.Tr key={index}>
                  <Table.Td>
                    <TextInput aria-label={t('agents.editor.targetName')} value={row.name} onChange={(event) => edit(index, 'name', event.currentTarget.value)} error={isTaken(index) && t('agents.editor.targetTaken')} />
                  </Table.Td>
                  <Table.Td>
                    <TextInput aria-label={t('agents.editor.targetNumber')} placeholder="+33491234567" value={row.to} onChange={(event) => edit(index, 'to', event.currentTarget.value)} />
                  </Table.Td>
                  <Table.Td>
                    <TextInput aria-label={t('agents.editor.targetWhen')} value={row.when} onChange={(event) => edit(index, 'when', event.currentTarget.value)} />
                  </Table.Td>
                  <Table.Td>
                    <Select
                      w={190}
                      aria-label={t('agents.editor.targetMode')}
                      data={MODES.map((mode) => ({ value: mode, label: t(`agents.editor.modes.${mode}`) }))}
                      value={row.mode}
                      onChange={(mode) => edit(index, 'mode', mode ?? 'auto')}
                      allowDeselect={false}
                    />
                  </Table.Td>
                  <Table.Td>
                    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t('common.removeOne', { name: row.name })} onClick={() => change(rows.filter((_, at) => at !== index))}>
                      <IconTrash size={18} />
                    </ActionIcon>
                  </Table.Td>
                </Table.Tr>,
                <Table.Tr key={`more-${index}`}>
                  <Table.Td colSpan={5}>
                    <TargetMore rest={row.rest} set={(rest) => change(rows.map((other, at) => (at === index ? { ...other, rest } : other)))} />
                  </Table.Td>
                </Table.Tr>,
              ])}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      <Group>
        <Button variant="default" size="xs" leftSection={<IconPlus size={14} />} onClick={() => setRows([...rows, { name: '', to: '', when: '', mode: 'auto', rest: {} }])}>
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
  const rest = useMemo(() => Object.fromEntries(Object.entries({ ...agent, ...draft }).filter(([name]) => !OWN.has(name) && !SHOWN.has(name))), [agent, draft]);
  const shown = JSON.stringify(rest, null, 2);
  const [text, setText] = useState(shown);
  const untouched = Object.keys(draft).length === 0;
  // Thrown away, saved, or changed by somebody else while nothing is being written here.
  useEffect(() => {
    if (untouched) setText(shown);
  }, [untouched, shown]);
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
