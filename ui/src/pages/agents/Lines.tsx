import { Button, Drawer, Group, Stack, Text } from '@mantine/core';
import { IconEdit, IconPhone, IconPlus, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi } from '../../api/client';
import { confirmed, IconButton, useAction } from '../../parts/actions';
import { DataTable } from '../../parts/DataTable';
import { phone } from '../../parts/format';
import { Answered, Empty } from '../../parts/Page';
import { SpecForm, type Field, type FormValues } from '../../parts/SpecForm';
import { StateBadge } from '../../parts/StateBadge';
import type { Agent } from './types';

interface Line {
  id: string;
  phoneNumber: string;
  provider: string;
  sipDomain?: string | null;
  sipUsername?: string | null;
  isActive: boolean;
  hasSipPassword: boolean;
}

/** The telephone lines of an agent: its own numbers, beside those that a workflow leads to it. */
export function Lines({ agent, readOnly }: { agent: Agent; readOnly: boolean }) {
  const { t } = useTranslation();
  const [editing, setEditing] = useState<Line | 'new' | null>(null);
  const list = useApi('/api/agents/{id}/phone-lines', { path: { id: agent.id } });
  const rows = list.data as unknown as Line[] | undefined;
  const stale = [['/api/agents/{id}/phone-lines']];
  const save = useAction(
    (values: FormValues) => {
      const sent = { ...values };
      if (!sent.sipPassword) delete sent.sipPassword;
      return editing === 'new' || editing === null ? ask('POST', `/api/agents/${agent.id}/phone-lines`, sent) : ask('PUT', `/api/agents/${agent.id}/phone-lines/${editing.id}`, sent);
    },
    { stale, done: t('agents.lines.saved'), quiet: true },
  );
  const remove = useAction((line: Line) => ask('DELETE', `/api/agents/${agent.id}/phone-lines/${line.id}`), { stale, done: t('agents.lines.removed') });
  const fields: Field[] = [
    { name: 'phoneNumber', label: t('agents.lines.number'), kind: 'tel', required: true, placeholder: '+33491234567', check: (value) => (/^[+\d][\d\s.]{3,}$/.test(String(value)) ? null : t('agents.lines.numberInvalid')) },
    { name: 'provider', label: t('agents.lines.provider'), kind: 'select', required: true, options: [{ value: 'sip', label: 'SIP' }, { value: 'twilio', label: 'Twilio' }] },
    { name: 'sipDomain', label: t('agents.lines.domain'), placeholder: 'sip.ovh.fr' },
    { name: 'sipUsername', label: t('agents.lines.username') },
    { name: 'sipPassword', label: t('common.password'), kind: 'password', hint: editing && editing !== 'new' && editing.hasSipPassword ? t('agents.lines.passwordKept') : undefined },
    { name: 'sipTransport', label: 'Transport', kind: 'select', options: ['udp', 'tcp', 'tls'].map((one) => ({ value: one, label: one.toUpperCase() })) },
    { name: 'isActive', label: t('agents.lines.active'), kind: 'switch' },
  ];
  return (
    <Stack>
      <Answered query={{ ...list, data: rows }} empty={<Empty icon={IconPhone} title={t('agents.lines.empty')}>{t('agents.lines.emptyHint')}</Empty>}>
        {(lines) => (
          <DataTable
            rows={lines}
            rowId={(line) => line.id}
            label={t('agents.tabs.lines')}
            columns={[
              { id: 'number', header: t('agents.lines.number'), title: true, sort: (line) => line.phoneNumber, cell: (line) => <Text size="sm" fw={600}>{phone(line.phoneNumber)}</Text> },
              { id: 'provider', header: t('agents.lines.provider'), cell: (line) => line.provider.toUpperCase() },
              { id: 'user', header: t('agents.lines.username'), cell: (line) => [line.sipUsername, line.sipDomain].filter(Boolean).join(' @ ') || '–' },
              { id: 'active', header: t('agents.list.state'), cell: (line) => <StateBadge tone={line.isActive ? 'good' : 'off'}>{line.isActive ? t('agents.lines.isActive') : t('agents.lines.isOff')}</StateBadge> },
            ]}
            actions={
              readOnly
                ? undefined
                : (line) => (
                    <>
                      <IconButton label={t('common.editOne', { name: line.phoneNumber })} icon={IconEdit} onClick={() => setEditing(line)} />
                      <IconButton
                        label={t('common.removeOne', { name: line.phoneNumber })}
                        icon={IconTrash}
                        onClick={() => confirmed({ title: t('common.removeOne', { name: line.phoneNumber }), text: t('agents.lines.removeText'), confirm: t('common.remove'), cancel: t('common.cancel'), onConfirm: () => remove.mutate(line) })}
                      />
                    </>
                  )
            }
          />
        )}
      </Answered>
      {!readOnly && (
        <Group>
          <Button variant="default" leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
            {t('agents.lines.add')}
          </Button>
        </Group>
      )}
      <Drawer opened={editing !== null} onClose={() => setEditing(null)} position="right" size="md" title={editing === 'new' ? t('agents.lines.add') : t('common.edit')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {editing !== null && (
          <SpecForm
            fields={fields}
            initial={editing === 'new' ? { provider: 'sip', isActive: true } : { ...editing }}
            submit={t('common.save')}
            busy={save.isPending}
            error={save.error}
            onCancel={() => setEditing(null)}
            onSubmit={(values) => save.mutate(values, { onSuccess: () => setEditing(null) })}
          />
        )}
      </Drawer>
    </Stack>
  );
}
