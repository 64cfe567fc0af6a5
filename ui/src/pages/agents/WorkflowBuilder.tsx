// A workflow as a diagram: numbers lead to an account or come by it, and to the agent. The form beside it says the same; either can be used.
import '@xyflow/react/dist/base.css';
import { Card, NumberInput, Select, Stack, TagsInput, Text, TextInput } from '@mantine/core';
import { IconPhone, IconPlugConnected, IconRobot, type Icon } from '@tabler/icons-react';
import { Background, Controls, Handle, Position, ReactFlow, type Edge, type Node, type NodeProps } from '@xyflow/react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useAction } from '../../parts/actions';
import { FormEnd } from '../../parts/fields';
import { phone } from '../../parts/format';
import { ErrorNote } from '../../parts/Page';
import classes from './WorkflowBuilder.module.css';
import { DISTRIBUTIONS, stale, type Workflow } from './workflow';

type Part = 'numbers' | 'account' | 'agent';

interface PartData extends Record<string, unknown> {
  title: string;
  lines: string[];
  icon: Icon;
  chosen: boolean;
  choose: () => void;
  last: boolean;
  first: boolean;
}

/** A part of the way is a button: by keyboard it is reached and opened like any other. */
function PartNode({ data }: NodeProps<Node<PartData>>) {
  return (
    <>
      {!data.first && <Handle type="target" position={Position.Left} isConnectable={false} />}
      <button type="button" className={`${classes.part} nodrag nopan`} aria-pressed={data.chosen} onClick={data.choose}>
        <data.icon size={18} aria-hidden />
        <span>
          <b>{data.title}</b>
          {data.lines.map((line) => (
            <span key={line} className={classes.line}>
              {line}
            </span>
          ))}
        </span>
      </button>
      {!data.last && <Handle type="source" position={Position.Right} isConnectable={false} />}
    </>
  );
}

const KINDS = { part: PartNode };
/** Places of the parts, in the diagram's own units. */
const PLACES: Record<Part, { x: number; y: number }> = { numbers: { x: 0, y: 40 }, account: { x: 270, y: 40 }, agent: { x: 540, y: 40 } };

interface Props {
  one: Workflow;
  agents: { id: string; name: string }[];
  lines: { id: string; label: string; account_id?: string }[];
  close: () => void;
}

export function WorkflowBuilder({ one, agents, lines, close }: Props) {
  const { t } = useTranslation();
  const [part, setPart] = useState<Part>('account');
  const [numbers, setNumbers] = useState<string[]>(one.definition?.phone_numbers ?? []);
  const [account, setAccount] = useState<string | null>(one.definition?.sip_account_id ?? null);
  const [agent, setAgent] = useState<string | null>(one.definition?.agent_id ?? null);
  const [distribution, setDistribution] = useState(one.definition?.distribution ?? 'selected');
  const [ring, setRing] = useState<number | string>(one.definition?.ring_timeout_s ?? '');
  const [note, setNote] = useState('');
  const save = useAction(
    () =>
      ask('PATCH', `/api/admin/workflows/${one.id}`, { phone_numbers: numbers, sip_account_id: account, agent_id: agent, distribution, ring_timeout_s: ring === '' ? null : Number(ring), ...(note.trim() ? { note: note.trim() } : {}) }),
    { stale, done: t('agents.workflows.saved'), quiet: true },
  );
  const nameOf = (id: string | null, list: { id: string; name: string }[], otherwise: string) => list.find((row) => row.id === id)?.name ?? otherwise;
  const accountName = nameOf(account, lines.map((line) => ({ id: line.id, name: line.label })), t('agents.workflows.defaultAccount'));
  const agentName = nameOf(agent, agents, t('agents.workflows.noAgent'));

  const nodes = useMemo(() => {
    const made = (id: Part, title: string, shown: string[], icon: Icon): Node<PartData> => ({
      id,
      type: 'part',
      position: PLACES[id],
      draggable: false,
      focusable: false,
      data: { title, lines: shown, icon, chosen: part === id, choose: () => setPart(id), first: id === 'numbers', last: id === 'agent' },
    });
    return [
      made('numbers', t('agents.workflows.numbers'), numbers.length > 0 ? numbers.map(phone) : [t('agents.workflows.anyNumber')], IconPhone),
      made('account', t('agents.workflows.account'), [accountName, t(`agents.workflows.distributions.${distribution as (typeof DISTRIBUTIONS)[number]}`)], IconPlugConnected),
      made('agent', t('agents.workflows.agent'), [agentName], IconRobot),
    ];
  }, [numbers, accountName, agentName, distribution, part, t]);
  const edges: Edge[] = [
    { id: 'numbers-account', source: 'numbers', target: 'account', focusable: false },
    { id: 'account-agent', source: 'account', target: 'agent', focusable: false, animated: agent !== null },
  ];
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate(undefined, { onSuccess: close });
      }}
    >
      <Stack>
        <Text size="sm" c="dimmed">
          {t('agents.workflows.builderIntro')}
        </Text>
        {save.error ? <ErrorNote error={save.error} /> : null}
        <div className={classes.canvas} role="group" aria-label={t('agents.workflows.diagram')}>
          <ReactFlow nodes={nodes} edges={edges} nodeTypes={KINDS} fitView nodesConnectable={false} nodesDraggable={false} elementsSelectable={false} zoomOnScroll={false} preventScrolling={false} disableKeyboardA11y proOptions={{ hideAttribution: true }}>
            <Background />
            <Controls showInteractive={false} aria-label={t('agents.workflows.zoom')} />
          </ReactFlow>
        </div>
        <Card withBorder radius="md" padding="md" component="section" aria-live="polite" aria-label={t(`agents.workflows.parts.${part}`)}>
          {part === 'numbers' && <TagsInput label={t('agents.workflows.numbers')} description={t('agents.workflows.numbersHint')} placeholder="+33491234567" value={numbers} onChange={setNumbers} />}
          {part === 'account' && (
            <Stack gap="sm">
              <Select
                label={t('agents.workflows.account')}
                description={t('agents.workflows.accountHint')}
                placeholder={t('agents.workflows.defaultAccount')}
                data={lines.filter((line) => !line.account_id || line.account_id === one.account_id).map((line) => ({ value: line.id, label: line.label }))}
                value={account}
                onChange={setAccount}
                clearable
                searchable
                clearButtonProps={{ 'aria-label': t('agents.workflows.defaultAccount') }}
              />
              <Select label={t('agents.workflows.distribution')} data={DISTRIBUTIONS.map((value) => ({ value, label: t(`agents.workflows.distributions.${value}`) }))} value={distribution} onChange={(value) => setDistribution(value ?? 'selected')} allowDeselect={false} />
            </Stack>
          )}
          {part === 'agent' && (
            <Stack gap="sm">
              <Select label={t('agents.workflows.agent')} data={agents.map((row) => ({ value: row.id, label: row.name }))} value={agent} onChange={setAgent} searchable />
              <NumberInput w={200} label={t('agents.workflows.ring')} suffix=" s" min={5} max={120} value={ring} onChange={setRing} />
            </Stack>
          )}
        </Card>
        <TextInput label={t('agents.workflows.note')} description={t('agents.workflows.noteHint')} value={note} onChange={(event) => setNote(event.currentTarget.value)} />
        <FormEnd cancel={close} submit={t('common.save')} busy={save.isPending} />
      </Stack>
    </form>
  );
}
