// The tools of an agent as forms: when to use it, the request, the arguments as a table or as JSON Schema.
import { ActionIcon, Alert, Badge, Box, Button, Card, Checkbox, Drawer, Group, JsonInput, NumberInput, SegmentedControl, Select, SimpleGrid, Stack, Switch, Table, Text, Textarea, TextInput } from '@mantine/core';
import { IconEdit, IconPlayerPlay, IconPlus, IconTools, IconTrash } from '@tabler/icons-react';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, problemOf, useApi } from '../../api/client';
import { confirmed, IconButton, useAction } from '../../parts/actions';
import { FormEnd } from '../../parts/fields';
import { Answered, Empty, ErrorNote, Loading } from '../../parts/Page';
import { TemplateInput } from '../../parts/TemplateInput';
import type { Agent, Tool } from './types';
import { variablesOf } from './variables';

const ToolTrial = lazy(() => import('./ToolTrial').then((module) => ({ default: module.ToolTrial })));

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const KINDS = ['string', 'number', 'integer', 'boolean'];
const FLAGS = ['triggersHangup', 'triggersTransfer', 'secureDigits', 'requiresVerifiedCaller', 'soft'] as const;

export function Tools({ agent, readOnly }: { agent: Agent; readOnly: boolean }) {
  const { t } = useTranslation();
  const list = useApi('/api/agents/{id}/tools', { path: { id: agent.id } });
  const tools = list.data as unknown as Tool[] | undefined;
  const [editing, setEditing] = useState<Tool | 'new' | null>(null);
  const [trying, setTrying] = useState<Tool | null>(null);
  const stale = [['/api/agents/{id}/tools'], ['/api/agents/{id}'], ['/api/agents/{id}/versions']];
  const toggle = useAction((tool: Tool) => ask('PUT', `/api/agents/${agent.id}/tools/${tool.id}`, { isEnabled: !tool.isEnabled }), { stale });
  const remove = useAction((tool: Tool) => ask('DELETE', `/api/agents/${agent.id}/tools/${tool.id}`), { stale, done: (_, tool) => t('agents.tools.removed', { name: tool.name }) });
  return (
    <Stack>
      <Text size="sm" c="dimmed">
        {t('agents.tools.intro')}
      </Text>
      <Answered query={{ ...list, data: tools }} empty={<Empty icon={IconTools} title={t('agents.tools.empty')}>{t('agents.tools.emptyHint')}</Empty>}>
        {(all) => (
          <Stack gap="xs">
            {all.map((tool) => (
              <Card key={tool.id} withBorder padding="sm" radius="md">
                <Group justify="space-between" wrap="nowrap" align="flex-start">
                  <div>
                    <Group gap={6}>
                      <Text fw={600} ff="monospace" size="sm">
                        {tool.name}
                      </Text>
                      <Badge color="gray">{tool.http ? (tool.http.method ?? 'GET') : tool.mcp ? 'MCP' : t('agents.tools.noRequest')}</Badge>
                      {FLAGS.filter((flag) => tool[flag]).map((flag) => (
                        <Badge key={flag} color="blue">
                          {t(`agents.tools.flags.${flag}`)}
                        </Badge>
                      ))}
                    </Group>
                    <Text size="sm" lineClamp={2}>
                      {tool.description}
                    </Text>
                  </div>
                  <Group gap={4} wrap="nowrap">
                    <Switch size="sm" checked={tool.isEnabled} disabled={readOnly} aria-label={t('agents.tools.offered', { name: tool.name })} onChange={() => toggle.mutate(tool)} />
                    {!readOnly && (
                      <>
                        <IconButton label={t('agents.trial.one', { name: tool.name })} icon={IconPlayerPlay} onClick={() => setTrying(tool)} />
                        <IconButton label={t('common.editOne', { name: tool.name })} icon={IconEdit} onClick={() => setEditing(tool)} />
                        <IconButton
                          label={t('common.removeOne', { name: tool.name })}
                          icon={IconTrash}
                          onClick={() => confirmed({ title: t('common.removeOne', { name: tool.name }), text: t('agents.tools.removeText'), confirm: t('common.remove'), cancel: t('common.cancel'), onConfirm: () => remove.mutate(tool) })}
                        />
                      </>
                    )}
                  </Group>
                </Group>
              </Card>
            ))}
          </Stack>
        )}
      </Answered>
      {!readOnly && (
        <Group>
          <Button variant="default" leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
            {t('agents.tools.add')}
          </Button>
        </Group>
      )}
      <Drawer opened={editing !== null} onClose={() => setEditing(null)} position="right" size="xl" title={editing === 'new' ? t('agents.tools.add') : editing ? t('common.editOne', { name: editing.name }) : ''} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {editing !== null && <ToolForm agent={agent} tool={editing === 'new' ? null : editing} others={tools ?? []} close={() => setEditing(null)} />}
      </Drawer>
      <Drawer opened={trying !== null} onClose={() => setTrying(null)} position="right" size="xl" title={trying ? t('agents.trial.one', { name: trying.name }) : ''} closeButtonProps={{ 'aria-label': t('common.close') }}>
        <Suspense fallback={<Loading />}>{trying && <ToolTrial key={trying.id} agent={agent} tool={trying} />}</Suspense>
      </Drawer>
    </Stack>
  );
}

interface Argument {
  name: string;
  type: string;
  description: string;
  required: boolean;
  choices: string;
}

/** Arguments of plain types are a table; anything deeper stays JSON Schema, so that nothing is lost. */
function asTable(schema: Tool['parameters']): Argument[] | null {
  const properties = Object.entries(schema?.properties ?? {});
  const rows: Argument[] = [];
  for (const [name, one] of properties) {
    const type = String(one.type ?? '');
    if (!KINDS.includes(type) || Object.keys(one).some((key) => !['type', 'description', 'enum'].includes(key))) return null;
    rows.push({ name, type, description: String(one.description ?? ''), required: schema?.required?.includes(name) ?? false, choices: Array.isArray(one.enum) ? one.enum.join(', ') : '' });
  }
  return rows;
}

function asSchema(rows: Argument[]): Tool['parameters'] {
  const properties: Record<string, Record<string, unknown>> = {};
  for (const row of rows.filter((one) => one.name.trim())) {
    const choices = row.choices.split(',').map((one) => one.trim()).filter(Boolean);
    properties[row.name.trim()] = {
      type: row.type,
      ...(row.description ? { description: row.description } : {}),
      ...(choices.length > 0 ? { enum: row.type === 'string' ? choices : choices.map(Number) } : {}),
    };
  }
  return { type: 'object', properties, required: rows.filter((row) => row.required && row.name.trim()).map((row) => row.name.trim()) };
}

const json = (value: unknown) => (value === undefined || value === null ? '' : JSON.stringify(value, null, 2));

/** A text that must be JSON where there is any. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text.trim() || 'null');
    return true;
  } catch {
    return false;
  }
}

function ToolForm({ agent, tool, others, close }: { agent: Agent; tool: Tool | null; others: Tool[]; close: () => void }) {
  const { t } = useTranslation();
  const [name, setName] = useState(tool?.name ?? '');
  const [description, setDescription] = useState(tool?.description ?? '');
  const [kind, setKind] = useState(tool && !tool.http ? (tool.mcp ? 'mcp' : 'none') : 'http');
  const [method, setMethod] = useState(tool?.http?.method ?? 'GET');
  const [url, setUrl] = useState(tool?.http?.url ?? '=https://');
  const [headers, setHeaders] = useState(json(tool?.http?.headers));
  const [body, setBody] = useState(json(tool?.http?.bodyTemplate));
  const [timeout, setTimeoutMs] = useState<number | string>(tool?.http?.timeoutMs ?? '');
  const [mcp, setMcp] = useState(json(tool?.mcp ?? { url: 'https://', tool: '' }));
  const [table, setTable] = useState<Argument[] | null>(() => (tool ? asTable(tool.parameters) : []));
  const [schema, setSchema] = useState(json(tool?.parameters ?? { type: 'object', properties: {} }));
  const [flags, setFlags] = useState<Record<string, boolean>>(() => Object.fromEntries(FLAGS.map((flag) => [flag, Boolean(tool?.[flag])])));
  const [fault, setFault] = useState<string | null>(null);
  const save = useAction(
    (sent: Record<string, unknown>) => (tool ? ask('PUT', `/api/agents/${agent.id}/tools/${tool.id}`, sent) : ask('POST', `/api/agents/${agent.id}/tools`, sent)),
    { stale: [['/api/agents/{id}/tools'], ['/api/agents/{id}'], ['/api/agents/{id}/versions']], done: t('agents.tools.saved', { name }), quiet: true },
  );

  function submit() {
    setFault(null);
    try {
      const http = kind !== 'http' ? null : {
        ...(tool?.http ?? {}),
        method,
        url,
        headers: headers.trim() ? (JSON.parse(headers) as unknown) : undefined,
        bodyTemplate: body.trim() ? (JSON.parse(body) as unknown) : undefined,
        timeoutMs: timeout === '' ? undefined : Number(timeout),
      };
      const parameters = table ? asSchema(table) : (JSON.parse(schema) as unknown);
      save.mutate(
        { name: name.trim(), description, parameters, http, ...(kind === 'mcp' ? { mcp: JSON.parse(mcp) as unknown } : tool?.mcp ? { mcp: null } : {}), ...Object.fromEntries(FLAGS.filter((flag) => flags[flag] !== Boolean(tool?.[flag])).map((flag) => [flag, flags[flag]])) },
        { onSuccess: close },
      );
    } catch {
      setFault(t('agents.editor.jsonInvalid'));
    }
  }

  // Faults stand at their field; those of fields that the form does not show are in the note above.
  const faults = save.error ? (problemOf(save.error).errors ?? []) : [];
  const at = (...paths: string[]) => faults.filter((one) => paths.some((path) => one.path === path || one.path.startsWith(`${path}.`) || one.path.startsWith(`${path}[`))).map((one) => one.detail).join(' ') || null;
  const invalid = (text: string) => (isJson(text) ? null : t('agents.editor.jsonInvalid'));
  const argumentNames = table ? table.map((row) => row.name.trim()).filter(Boolean) : isJson(schema) ? Object.keys((JSON.parse(schema || '{}') as Tool['parameters'])?.properties ?? {}) : [];
  const names = variablesOf(agent, others, argumentNames);
  const edit = (index: number, change: Partial<Argument>) => setTable((table ?? []).map((row, at) => (at === index ? { ...row, ...change } : row)));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack>
        {fault && <Alert color="red" role="alert">{fault}</Alert>}
        {save.error ? <ErrorNote error={save.error} title={t('agents.editor.faults')} /> : null}
        <Textarea label={t('agents.tools.when')} description={t('agents.tools.whenHint')} autosize minRows={2} required value={description} onChange={(event) => setDescription(event.currentTarget.value)} error={at('description')} data-autofocus />
        <TextInput label={t('agents.tools.name')} description={t('agents.tools.nameHint')} required ff="monospace" value={name} onChange={(event) => setName(event.currentTarget.value)} error={name && !/^[a-zA-Z0-9_-]{1,64}$/.test(name) ? t('agents.tools.nameInvalid') : at('name')} />
        <div>
          <Text size="sm" fw={500} mb={4} id="tool-kind">
            {t('agents.tools.does')}
          </Text>
          <SegmentedControl aria-labelledby="tool-kind" value={kind} onChange={setKind} data={[{ value: 'http', label: t('agents.tools.http') }, { value: 'mcp', label: 'MCP' }, { value: 'none', label: t('agents.tools.none') }]} />
        </div>
        {kind === 'http' && (
          <>
            <Group align="flex-start" wrap="nowrap">
              <Select w={120} label={t('agents.tools.method')} data={METHODS} value={method} onChange={(value) => setMethod(value ?? 'GET')} allowDeselect={false} />
              <Box flex={1}>
                <TemplateInput label={t('agents.tools.url')} value={url} onChange={setUrl} names={names} error={at('http.url')} />
              </Box>
            </Group>
            <SimpleGrid cols={{ base: 1, sm: 2 }}>
              <TemplateInput area label={t('agents.tools.headers')} value={headers} onChange={setHeaders} names={names} error={invalid(headers) ?? at('http.headers')} />
              {method !== 'GET' && <TemplateInput area label={t('agents.tools.body')} value={body} onChange={setBody} names={names} error={invalid(body) ?? at('http.bodyTemplate')} />}
            </SimpleGrid>
            <NumberInput w={200} label={t('agents.tools.timeout')} suffix=" ms" placeholder="10000" value={timeout} onChange={setTimeoutMs} hideControls error={at('http.timeoutMs')} />
          </>
        )}
        {kind === 'mcp' && <JsonInput label="MCP" description={t('agents.tools.mcpHint')} autosize minRows={4} formatOnBlur validationError={t('agents.editor.jsonInvalid')} value={mcp} onChange={setMcp} spellCheck={false} error={at('mcp')} />}
        <div>
          <Group justify="space-between" mb={4}>
            <Text size="sm" fw={500}>
              {t('agents.tools.arguments')}
            </Text>
            <SegmentedControl
              size="xs"
              aria-label={t('agents.tools.arguments')}
              value={table ? 'table' : 'schema'}
              onChange={(value) => {
                if (value === 'schema') {
                  if (table) setSchema(json(asSchema(table)));
                  setTable(null);
                } else {
                  try {
                    const rows = asTable(JSON.parse(schema) as Tool['parameters']);
                    if (rows) setTable(rows);
                    else setFault(t('agents.tools.tooDeep'));
                  } catch {
                    setFault(t('agents.editor.jsonInvalid'));
                  }
                }
              }}
              data={[{ value: 'table', label: t('agents.tools.table') }, { value: 'schema', label: 'JSON Schema' }]}
            />
          </Group>
          {table ? (
            <Stack gap="xs">
              {table.length > 0 && (
                <Table.ScrollContainer minWidth={640}>
                  <Table>
                    <Table.Thead>
                      <Table.Tr>
                        <Table.Th>{t('agents.tools.argName')}</Table.Th>
                        <Table.Th>{t('agents.tools.argType')}</Table.Th>
                        <Table.Th>{t('agents.tools.argWhat')}</Table.Th>
                        <Table.Th>{t('agents.tools.argChoices')}</Table.Th>
                        <Table.Th>{t('agents.tools.argRequired')}</Table.Th>
                        <Table.Th />
                      </Table.Tr>
                    </Table.Thead>
                    <Table.Tbody>
                      {table.map((row, index) => (
                        <Table.Tr key={index}>
                          <Table.Td>
                            <TextInput size="xs" aria-label={t('agents.tools.argName')} value={row.name} onChange={(event) => edit(index, { name: event.currentTarget.value })} />
                          </Table.Td>
                          <Table.Td>
                            <Select size="xs" w={100} aria-label={t('agents.tools.argType')} data={KINDS} value={row.type} onChange={(value) => edit(index, { type: value ?? 'string' })} allowDeselect={false} />
                          </Table.Td>
                          <Table.Td>
                            <TextInput size="xs" aria-label={t('agents.tools.argWhat')} value={row.description} onChange={(event) => edit(index, { description: event.currentTarget.value })} />
                          </Table.Td>
                          <Table.Td>
                            <TextInput size="xs" aria-label={t('agents.tools.argChoices')} value={row.choices} onChange={(event) => edit(index, { choices: event.currentTarget.value })} />
                          </Table.Td>
                          <Table.Td>
                            <Checkbox aria-label={t('agents.tools.argRequired')} checked={row.required} onChange={(event) => edit(index, { required: event.currentTarget.checked })} />
                          </Table.Td>
                          <Table.Td>
                            <ActionIcon variant="subtle" color="gray" aria-label={t('common.removeOne', { name: row.name })} onClick={() => setTable(table.filter((_, at) => at !== index))}>
                              <IconTrash size={16} />
                            </ActionIcon>
                          </Table.Td>
                        </Table.Tr>
                      ))}
                    </Table.Tbody>
                  </Table>
                </Table.ScrollContainer>
              )}
              <Group>
                <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={() => setTable([...table, { name: '', type: 'string', description: '', required: false, choices: '' }])}>
                  {t('agents.tools.argAdd')}
                </Button>
              </Group>
            </Stack>
          ) : (
            <JsonInput aria-label={t('agents.tools.arguments')} autosize minRows={8} maxRows={24} formatOnBlur validationError={t('agents.editor.jsonInvalid')} value={schema} onChange={setSchema} spellCheck={false} />
          )}
        </div>
        {at('parameters') && (
          <Text size="sm" c="var(--mantine-color-error)" role="alert">
            {at('parameters')}
          </Text>
        )}
        <Group gap="md">
          {FLAGS.map((flag) => (
            <Checkbox key={flag} label={t(`agents.tools.flags.${flag}`)} checked={flags[flag]} onChange={(event) => setFlags({ ...flags, [flag]: event.currentTarget.checked })} />
          ))}
        </Group>
        <FormEnd cancel={close} submit={t('common.save')} busy={save.isPending} disabled={!name.trim() || !description.trim()} />
      </Stack>
    </form>
  );
}
