import { Accordion, Box, Button, Group, MultiSelect, NumberInput, Select, SimpleGrid, Stack, Switch, TagsInput, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useAgents } from '../../api/names';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { AccountSelect, Choice, FormEnd, KeptPassword, NewPassword } from '../../parts/fields';
import { ErrorNote } from '../../parts/Page';
import { Telephone } from './Telephone';
import { DEVICES, SRTP, type Device } from './types';

const PASSWORD_MIN = 12;
/** Without what is mistaken for something else when it is typed on a telephone. */
const LETTERS = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const PROPOSED = 20;

function proposed(): string {
  // Of 256 values those above the last whole round are thrown again: every letter is as likely.
  const most = 256 - (256 % LETTERS.length);
  let text = '';
  while (text.length < PROPOSED) for (const byte of crypto.getRandomValues(new Uint8Array(PROPOSED))) if (byte < most && text.length < PROPOSED) text += LETTERS[byte % LETTERS.length];
  return text;
}

interface Values {
  account_id: string;
  label: string;
  username: string;
  password: string;
  answers: string;
  caller_id: string;
  domain: string;
  bindings_max: number | '';
  calls_max: number | '';
  calls_per_s_max: number | '';
  is_active: boolean;
  joins_calls: boolean;
  keep_alive_s: number | '';
  srtp: string;
  digest: string[];
  outboundPrefixes: string[];
}

export function DeviceForm({ device, done }: { device: Device | null; done: () => void }) {
  const { t } = useTranslation();
  const { accountId, accounts } = useSession();
  const agents = useAgents();
  const workflows = useOfAccounts<{ id: string; account_id: string; name: string }>('/api/admin/workflows', 'account_id');
  const [replacing, setReplacing] = useState(!device);
  const [made, setMade] = useState<{ device: Device; password: string } | null>(null);
  const form = useForm<Values>({
    initialValues: {
      account_id: device?.account_id ?? accountId ?? accounts[0]?.id ?? '',
      label: device?.label ?? '',
      username: device?.username ?? '',
      password: device ? '' : proposed(),
      answers: device?.workflow_id ? `workflow:${device.workflow_id}` : device?.agent_id ? `agent:${device.agent_id}` : '',
      caller_id: device?.caller_id ?? '',
      domain: device?.domain ?? '',
      bindings_max: device?.bindings_max ?? 5,
      calls_max: device?.calls_max ?? 0,
      calls_per_s_max: device?.calls_per_s_max ?? '',
      is_active: device?.is_active ?? true,
      joins_calls: device?.joins_calls ?? false,
      keep_alive_s: device?.keep_alive_s ?? '',
      srtp: device?.srtp ?? '',
      digest: device?.digest ?? [],
      outboundPrefixes: device?.outboundPrefixes ?? [],
    },
    validate: {
      label: (value) => (value.trim() ? null : t('telephony.device.labelMissing')),
      username: (value) => (/^[A-Za-z0-9._+-]{1,64}$/.test(value.trim()) ? null : t('telephony.device.usernameInvalid')),
      password: (value) => (!replacing || value.length >= PASSWORD_MIN ? null : t('telephony.device.passwordShort', { count: PASSWORD_MIN })),
      caller_id: (value) => (/^[\w+*#.-]*$/.test(value.trim()) ? null : t('telephony.device.callerIdInvalid')),
      domain: (value) => (/^[A-Za-z0-9.-]*$/.test(value.trim()) ? null : t('telephony.device.domainInvalid')),
      bindings_max: (value) => (value !== '' && value >= 1 && value <= 16 ? null : t('telephony.device.placesInvalid')),
      keep_alive_s: (value) => (value === '' || (value >= 0 && value <= 3600) ? null : t('telephony.device.keepAliveInvalid')),
    },
  });

  function body(values: Values) {
    const { account_id, password, answers, ...rest } = values;
    const [kind, id] = answers.split(/:(.*)/);
    return {
      ...rest,
      label: rest.label.trim(),
      username: rest.username.trim(),
      domain: rest.domain.trim(),
      caller_id: rest.caller_id.trim() || null,
      calls_max: rest.calls_max === '' ? 0 : rest.calls_max,
      calls_per_s_max: rest.calls_per_s_max === '' ? null : rest.calls_per_s_max,
      keep_alive_s: rest.keep_alive_s === '' ? null : rest.keep_alive_s,
      srtp: rest.srtp || null,
      digest: rest.digest.length ? rest.digest : null,
      outboundPrefixes: rest.outboundPrefixes.length ? rest.outboundPrefixes : null,
      agent_id: kind === 'agent' ? id : null,
      workflow_id: kind === 'workflow' ? id : null,
      ...(replacing && password ? { password } : {}),
      ...(!device && account_id ? { account_id } : {}),
    };
  }

  const save = useAction((values: Values) => ask<Device>(device ? 'PATCH' : 'POST', device ? `${DEVICES}/${device.id}` : DEVICES, body(values)), {
    stale: [[DEVICES]],
    done: device ? t('telephony.device.saved') : t('telephony.device.created'),
    quiet: true,
  });
  const keep = (values: Values) =>
    save.mutate(values, {
      onSuccess: (kept) => {
        if (replacing && values.password) setMade({ device: kept, password: values.password });
        else done();
      },
    });

  // The telephone is told now: its password is shown this once.
  if (made) {
    return (
      <Stack>
        <Telephone device={made.device} password={made.password} />
        <Group justify="flex-end">
          <Button onClick={done}>{t('common.close')}</Button>
        </Group>
      </Stack>
    );
  }
  const ofAccount = (id: string | null | undefined) => !form.values.account_id || id === form.values.account_id;
  return (
    <form onSubmit={form.onSubmit(keep)} noValidate>
      <Stack>
        {save.error ? <ErrorNote error={save.error} /> : null}
        {!device && <AccountSelect {...form.getInputProps('account_id')} />}
        <TextInput label={t('telephony.device.label')} placeholder={t('telephony.device.labelExample')} withAsterisk data-autofocus {...form.getInputProps('label')} />
        <TextInput label={t('telephony.device.username')} description={t('telephony.device.usernameHint')} placeholder="101" withAsterisk spellCheck={false} autoComplete="off" {...form.getInputProps('username')} />
        {replacing ? (
          <NewPassword description={device ? t('telephony.device.passwordNew') : t('telephony.device.passwordHint')} {...form.getInputProps('password')} />
        ) : (
          <KeptPassword
            replace={() => {
              form.setFieldValue('password', proposed());
              setReplacing(true);
            }}
          />
        )}
        <Select
          label={t('telephony.device.answers')}
          description={t('telephony.device.answersHint')}
          placeholder={t('telephony.devices.byNobody')}
          clearable
          searchable
          clearButtonProps={{ 'aria-label': t('common.clear') }}
          data={[
            { group: t('common.nav.agents'), items: (agents.data ?? []).filter((one) => ofAccount(one.accountId)).map((one) => ({ value: `agent:${one.id}`, label: one.name })) },
            { group: t('common.nav.workflows'), items: (workflows.data ?? []).filter((one) => ofAccount(one.account_id)).map((one) => ({ value: `workflow:${one.id}`, label: one.name })) },
          ]}
          value={form.values.answers || null}
          onChange={(value) => form.setFieldValue('answers', value ?? '')}
        />
        <TextInput label={t('telephony.device.callerId')} description={t('telephony.device.callerIdHint')} placeholder="+33491234567" inputMode="tel" {...form.getInputProps('caller_id')} />
        <Switch label={t('telephony.device.isActive')} description={t('telephony.device.isActiveHint')} {...form.getInputProps('is_active', { type: 'checkbox' })} />
        <Switch label={t('telephony.device.joinsCalls')} description={t('telephony.device.joinsCallsHint')} {...form.getInputProps('joins_calls', { type: 'checkbox' })} />
        <Accordion variant="contained">
          <Accordion.Item value="more">
            <Accordion.Control>
              <Text size="sm">{t('telephony.device.advanced')}</Text>
            </Accordion.Control>
            <Accordion.Panel>
              <SimpleGrid cols={{ base: 1, sm: 2 }}>
                <TextInput label={t('telephony.device.domain')} description={t('telephony.device.domainHint')} spellCheck={false} {...form.getInputProps('domain')} />
                <Choice label={t('telephony.form.srtp')} hint={t('telephony.device.srtpHint')} none={t('telephony.form.asServer')} names={SRTP} nameOf={(one) => t(`telephony.form.srtps.${one}`)} {...form.getInputProps('srtp')} />
                <NumberInput label={t('telephony.device.places')} description={t('telephony.device.placesHint')} min={1} max={16} clampBehavior="none" allowDecimal={false} {...form.getInputProps('bindings_max')} />
                <NumberInput label={t('telephony.form.callsMax')} description={t('telephony.form.callsMaxHint')} min={0} allowDecimal={false} {...form.getInputProps('calls_max')} />
                <NumberInput label={t('telephony.form.callsPerS')} description={t('telephony.form.callsPerSHint')} min={0} max={10000} allowDecimal={false} {...form.getInputProps('calls_per_s_max')} />
                <NumberInput label={t('telephony.device.keepAlive')} description={t('telephony.device.keepAliveHint')} suffix=" s" min={0} clampBehavior="none" allowDecimal={false} hideControls {...form.getInputProps('keep_alive_s')} />
                <MultiSelect
                  label={t('telephony.device.digest')}
                  description={t('telephony.device.digestHint')}
                  placeholder={form.values.digest.length ? undefined : 'MD5'}
                  data={[{ value: 'md5', label: 'MD5' }, { value: 'sha-256', label: 'SHA-256' }, { value: 'sha-512-256', label: 'SHA-512-256' }]}
                  clearable
                  clearButtonProps={{ 'aria-label': t('common.clear') }}
                  {...form.getInputProps('digest')}
                />
                <Box className="whole">
                  <TagsInput label={t('telephony.device.prefixes')} description={t('telephony.device.prefixesHint')} placeholder="+33" clearable clearButtonProps={{ 'aria-label': t('common.clear') }} {...form.getInputProps('outboundPrefixes')} />
                </Box>
              </SimpleGrid>
            </Accordion.Panel>
          </Accordion.Item>
        </Accordion>
        <FormEnd cancel={done} submit={device ? t('common.save') : t('common.create')} busy={save.isPending} />
      </Stack>
    </form>
  );
}
