import { Accordion, Alert, Box, Button, Checkbox, Group, List, NumberInput, Select, SegmentedControl, SimpleGrid, Stack, TagsInput, Text, Textarea, TextInput, ThemeIcon } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconAlertTriangle, IconCheck, IconMinus, IconPhoneCall, IconX } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useApi, ask } from '../../api/client';
import { useSession } from '../../api/session';
import { useAction } from '../../parts/actions';
import { milliseconds } from '../../parts/format';
import { AccountSelect, Choice, FormEnd, KeptPassword, NewPassword } from '../../parts/fields';
import { ErrorNote } from '../../parts/Page';
import { Codecs } from './Codecs';
import { SRTP, type SipAccount, type TestStep } from './types';

interface Values {
  account_id: string;
  label: string;
  trunk_uri: string;
  username: string;
  password: string;
  contact_host: string;
  contact_port: number | '';
  contact_transport: string;
  is_default: boolean;
  is_active: boolean;
  provider_profile: string;
  registrar: string;
  outbound_proxy: string;
  expires_s: number | '';
  caller_id_number: string;
  srtp: string;
  caller_identity: string;
  nat: string;
  turn_server: string;
  turn_username: string;
  turn_password: string;
  weight: number;
  backup_account_id: string;
  calls_max: number;
  calls_per_s_max: number | '';
  codecs: string;
  dtmf: string;
  noise_suppression: string;
  automatic_gain: string;
  echo_cancellation: string;
  echo_tail_ms: number | '';
  realm: string;
  allow: string[];
  client_certificates: string[];
  client_names: string[];
  client_ca: string;
  client_certificate_required: boolean;
  registers: string;
  keep_alive_s: number | '';
  caller_id_form: string;
  number_form: string;
  country_code: string;
}

/** Fields whose absence means what the profile or the server says: `''` here, null on the wire. */
const THREE_WAY = ['noise_suppression', 'automatic_gain', 'echo_cancellation', 'registers'] as const;
const three = (value: boolean | null | undefined) => (value === true ? 'yes' : value === false ? 'no' : '');
const KEYPADS = ['auto', 'rfc4733', 'info', 'inband'] as const;
const CALLER_ID_FORMS = ['account', 'from_number', 'p_asserted_identity', 'p_preferred_identity', 'remote_party_id'] as const;
const YES_NO = ['yes', 'no'] as const;
const IDENTITY = ['inform', 'require', 'require_b', 'require_a'] as const;
const NAT = ['auto', 'public', 'stun', 'turn', 'ice', 'none'] as const;
const NUMBER_FORMS = ['as_dialled', 'e164', 'e164_digits', 'double_zero', 'national'] as const;

/** 64 digits of SHA-256, however they were copied; null where it is something else. */
function fingerprintOf(text: string) {
  const digits = text.replace(/^.*=/, '').replace(/^\s*sha256:/i, '').replace(/[:\s]/g, '');
  return /^[0-9a-fA-F]{64}$/.test(digits) ? digits : null;
}

const TEST_ICON = { passed: IconCheck, warning: IconAlertTriangle, failed: IconX, skipped: IconMinus };
const TEST_COLOR = { passed: 'teal', warning: 'orange', failed: 'red', skipped: 'gray' };

export function SipAccountForm({ account, others, done }: { account: SipAccount | null; others: SipAccount[]; done: () => void }) {
  const { t, i18n } = useTranslation();
  const { accountId, accounts } = useSession();
  const profiles = useApi('/api/admin/sip-profiles', {}, { staleTime: Infinity });
  const [replacing, setReplacing] = useState(!account?.has_password);
  const [number, setNumber] = useState('');
  const form = useForm<Values>({
    initialValues: {
      account_id: account?.account_id ?? accountId ?? accounts[0]?.id ?? '',
      label: account?.label ?? '',
      trunk_uri: account?.trunk_uri ?? '',
      username: account?.username ?? '',
      password: '',
      contact_host: account?.contact_host ?? '',
      contact_port: account?.contact_port ?? '',
      contact_transport: account?.contact_transport ?? 'udp',
      is_default: account?.is_default ?? others.length === 0,
      is_active: account?.is_active ?? true,
      provider_profile: account?.provider_profile ?? '',
      registrar: account?.registrar ?? '',
      outbound_proxy: account?.outbound_proxy ?? '',
      expires_s: account?.expires_s ?? '',
      caller_id_number: account?.caller_id_number ?? '',
      srtp: account?.srtp ?? '',
      caller_identity: account?.caller_identity ?? '',
      nat: account?.nat ?? '',
      turn_server: account?.turn_server ?? '',
      turn_username: account?.turn_username ?? '',
      turn_password: '',
      weight: account?.weight ?? 1,
      backup_account_id: account?.backup_account_id ?? '',
      calls_max: account?.calls_max ?? 0,
      calls_per_s_max: account?.calls_per_s_max ?? '',
      codecs: account?.codecs ?? '',
      dtmf: account?.dtmf ?? 'auto',
      noise_suppression: three(account?.noise_suppression),
      automatic_gain: three(account?.automatic_gain),
      echo_cancellation: three(account?.echo_cancellation),
      echo_tail_ms: account?.echo_tail_ms ?? '',
      realm: account?.realm ?? '',
      allow: account?.allow ?? [],
      client_certificates: account?.client_certificates ?? [],
      client_names: account?.client_names ?? [],
      client_ca: account?.client_ca ?? '',
      client_certificate_required: account?.client_certificate_required ?? false,
      registers: three(account?.registers),
      keep_alive_s: account?.keep_alive_s ?? '',
      caller_id_form: account?.caller_id_form ?? '',
      number_form: account?.number_form ?? '',
      country_code: account?.country_code ?? '',
    },
    validate: {
      label: (value) => (value.trim() ? null : t('telephony.form.labelMissing')),
      trunk_uri: (value) => (/^sips?:([^@\s]+@)?[^@\s]+$/.test(value.trim()) ? null : t('telephony.form.uriInvalid')),
      contact_port: (value) => (value === '' || (value >= 1 && value <= 65535 && Number.isInteger(value)) ? null : t('telephony.form.portInvalid')),
      expires_s: (value) => (value === '' || (value >= 10 && value <= 86400) ? null : t('telephony.form.expiresInvalid')),
      weight: (value) => (value >= 0 && value <= 1000 ? null : t('telephony.form.weightInvalid')),
      keep_alive_s: (value) => (value === '' || (value >= 0 && value <= 3600) ? null : t('telephony.form.keepAliveInvalid')),
      echo_tail_ms: (value) => (value === '' || (value >= 16 && value <= 256) ? null : t('telephony.form.echoTailInvalid')),
      country_code: (value) => (/^\d{0,3}$/.test(value.trim()) ? null : t('telephony.form.countryInvalid')),
      allow: (value) => {
        const wrong = value.find((one) => !/^[0-9a-fA-F.:]+(\/\d{1,3})?$/.test(one.trim()));
        return wrong === undefined ? null : t('telephony.form.allowInvalid', { value: wrong });
      },
      client_certificates: (value) => {
        const wrong = value.find((one) => fingerprintOf(one) === null);
        return wrong === undefined ? null : t('telephony.form.certificateInvalid', { value: wrong });
      },
      client_certificate_required: (value, values) => (value && values.client_certificates.length + values.client_names.length === 0 ? t('telephony.form.certificateNone') : null),
    },
  });

  function body(values: Values) {
    const { password, turn_password, account_id, ...rest } = values;
    const sent: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(rest)) sent[name] = value === '' ? null : typeof value === 'string' ? value.trim() : value;
    for (const name of THREE_WAY) sent[name] = values[name] === '' ? null : values[name] === 'yes';
    sent.allow = values.allow.length ? values.allow.map((one) => one.trim()) : null;
    sent.client_certificates = values.client_certificates.length ? values.client_certificates.map((one) => fingerprintOf(one) ?? one) : null;
    sent.client_names = values.client_names.length ? values.client_names.map((one) => one.trim()) : null;
    sent.client_certificate_required = values.client_certificate_required || null;
    // `auto` is what an account says that says nothing.
    if (values.dtmf === 'auto') sent.dtmf = null;
    if (replacing && password) sent.password = password;
    if (turn_password) sent.turn_password = turn_password;
    if (!account && account_id) sent.account_id = account_id;
    return sent;
  }

  const save = useAction(
    (values: Values) => (account ? ask('PATCH', `/api/admin/sip-accounts/${account.id}`, body(values)) : ask('POST', '/api/admin/sip-accounts', body(values))),
    { stale: [['/api/admin/sip-accounts']], done: account ? t('telephony.form.saved') : t('telephony.form.created'), quiet: true },
  );
  const test = useMutation({
    mutationFn: () => {
      const { trunk_uri, username, password, contact_host, contact_transport, registrar, outbound_proxy, expires_s } = form.values;
      const given = { trunk_uri, username, password, contact_host, contact_transport, registrar, outbound_proxy, expires_s, number };
      return ask<{ passed: boolean; steps: TestStep[] }>('POST', '/api/admin/sip-accounts/test', Object.fromEntries(Object.entries(given).filter(([, value]) => value !== '')));
    },
  });
  const profile = useMemo(() => profiles.data?.find((one) => one.id === form.values.provider_profile), [profiles.data, form.values.provider_profile]);
  const language = i18n.language === 'en' ? 'en' : 'fr';
  // A stored password is not read by the page: the test wants it typed.
  const canTest = form.values.trunk_uri.trim() !== '' && (form.values.password !== '' || !account?.has_password);

  return (
    <form
      onSubmit={form.onSubmit((values) => save.mutate(values, { onSuccess: done }))}
      noValidate
    >
      <Stack>
        {save.error ? <ErrorNote error={save.error} /> : null}
        {!account && <AccountSelect {...form.getInputProps('account_id')} />}
        <Select
          label={t('telephony.form.profile')}
          description={t('telephony.form.profileHint')}
          placeholder={t('telephony.form.noProfile')}
          data={(profiles.data ?? []).map((one) => ({ value: one.id, label: one.name }))}
          clearable
          searchable
          clearButtonProps={{ 'aria-label': t('telephony.form.noProfile') }}
          value={form.values.provider_profile || null}
          onChange={(value) => {
            const chosen = profiles.data?.find((one) => one.id === value);
            const transport = chosen?.values.find((one) => one.field === 'contact_transport')?.value;
            form.setValues({ provider_profile: value ?? '', ...(transport && ['udp', 'tcp', 'tls'].includes(transport) ? { contact_transport: transport } : {}) });
          }}
        />
        {profile && (
          <Accordion variant="contained">
            <Accordion.Item value="why">
              <Accordion.Control>
                <Text size="sm">{t('telephony.form.profileSets', { name: profile.name })}</Text>
              </Accordion.Control>
              <Accordion.Panel>
                <List size="sm" spacing={4}>
                  {profile.values.map((one) => (
                    <List.Item key={one.field}>
                      <Text span size="sm" ff="monospace">
                        {one.field}
                        {one.value ? ` = ${one.value}` : ''}
                      </Text>{' '}
                      <Text span size="sm" c="dimmed">
                        {one.why[language]}
                      </Text>
                    </List.Item>
                  ))}
                </List>
              </Accordion.Panel>
            </Accordion.Item>
          </Accordion>
        )}
        <TextInput label={t('telephony.form.label')} placeholder={t('telephony.form.labelExample')} withAsterisk data-autofocus {...form.getInputProps('label')} />
        <TextInput label={t('telephony.form.uri')} description={t('telephony.form.uriHint')} placeholder="sip:0033491234567@sip.ovh.fr" withAsterisk spellCheck={false} autoComplete="off" {...form.getInputProps('trunk_uri')} />
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <TextInput label={t('telephony.form.username')} autoComplete="off" spellCheck={false} {...form.getInputProps('username')} />
          {replacing ? (
            <NewPassword {...form.getInputProps('password')} />
          ) : (
            <KeptPassword replace={() => setReplacing(true)} />
          )}
          <TextInput label={t('telephony.form.host')} description={t('telephony.form.hostHint')} spellCheck={false} {...form.getInputProps('contact_host')} />
          <NumberInput label={t('telephony.form.port')} description={t('telephony.form.portHint')} min={1} max={65535} clampBehavior="none" allowDecimal={false} hideControls {...form.getInputProps('contact_port')} />
        </SimpleGrid>
        <Box>
          <Text size="sm" fw={500} mb={4} id="transport-label">
            {t('telephony.form.transport')}
          </Text>
          <SegmentedControl aria-labelledby="transport-label" data={[{ value: 'udp', label: 'UDP' }, { value: 'tcp', label: 'TCP' }, { value: 'tls', label: 'TLS' }]} {...form.getInputProps('contact_transport')} />
        </Box>
        <Group gap="xl">
          <Checkbox label={t('telephony.form.isDefault')} {...form.getInputProps('is_default', { type: 'checkbox' })} />
          <Checkbox label={t('telephony.form.isActive')} {...form.getInputProps('is_active', { type: 'checkbox' })} />
        </Group>
        <Accordion variant="contained" multiple>
          <Accordion.Item value="more">
            <Accordion.Control>
              <Text size="sm">{t('telephony.form.advanced')}</Text>
            </Accordion.Control>
            <Accordion.Panel>
              <SimpleGrid cols={{ base: 1, sm: 2 }}>
                <TextInput label={t('telephony.form.registrar')} placeholder="sip.example.org:5060" spellCheck={false} {...form.getInputProps('registrar')} />
                <TextInput label={t('telephony.form.proxy')} spellCheck={false} {...form.getInputProps('outbound_proxy')} />
                <NumberInput label={t('telephony.form.expires')} suffix=" s" allowDecimal={false} hideControls {...form.getInputProps('expires_s')} />
                <TextInput label={t('telephony.form.callerId')} placeholder="+33491234567" {...form.getInputProps('caller_id_number')} />
                <Choice label={t('telephony.form.callerIdForm')} hint={t('telephony.form.callerIdFormHint')} none={t('telephony.form.asProfile')} names={CALLER_ID_FORMS} nameOf={(one) => t(`telephony.form.callerIdForms.${one}`)} {...form.getInputProps('caller_id_form')} />
                <Choice label={t('telephony.form.numberForm')} hint={t('telephony.form.numberFormHint')} none={t('telephony.form.asProfile')} names={NUMBER_FORMS} nameOf={(one) => t(`telephony.form.numberForms.${one}`)} {...form.getInputProps('number_form')} />
                <TextInput label={t('telephony.form.country')} description={t('telephony.form.countryHint')} inputMode="numeric" {...form.getInputProps('country_code')} />
                <Choice label={t('telephony.form.registers')} hint={t('telephony.form.registersHint')} none={t('telephony.form.asProfile')} names={YES_NO} nameOf={(one) => t(`telephony.form.${one}`)} {...form.getInputProps('registers')} />
                <Choice label={t('telephony.form.nat')} hint={t('telephony.form.natHint')} none={t('telephony.form.asServer')} names={NAT} nameOf={(one) => t(`telephony.form.nats.${one}`)} {...form.getInputProps('nat')} />
                {(form.values.nat === 'turn' || form.values.nat === 'ice') && (
                  <>
                    <TextInput label={t('telephony.form.turnServer')} description={t('telephony.form.turnHint')} placeholder="turn.example.org:3478" spellCheck={false} {...form.getInputProps('turn_server')} />
                    <TextInput label={t('telephony.form.turnUser')} autoComplete="off" spellCheck={false} {...form.getInputProps('turn_username')} />
                    <NewPassword label={t('telephony.form.turnPassword')} description={account?.has_turn_password ? t('telephony.form.turnKept') : undefined} autoComplete="new-password" {...form.getInputProps('turn_password')} />
                  </>
                )}
                <NumberInput label={t('telephony.form.keepAlive')} description={t('telephony.form.keepAliveHint')} suffix=" s" clampBehavior="none" allowDecimal={false} hideControls {...form.getInputProps('keep_alive_s')} />
                <Choice label={t('telephony.form.identity')} hint={t('telephony.form.identityHint')} none={t('telephony.form.identityOff')} names={IDENTITY} nameOf={(one) => t(`telephony.form.identities.${one}`)} {...form.getInputProps('caller_identity')} />
                <NumberInput label={t('telephony.form.callsMax')} description={t('telephony.form.callsMaxHint')} min={0} allowDecimal={false} {...form.getInputProps('calls_max')} />
                <NumberInput label={t('telephony.form.callsPerS')} description={t('telephony.form.callsPerSHint')} min={0} max={10000} allowDecimal={false} {...form.getInputProps('calls_per_s_max')} />
                <NumberInput label={t('telephony.form.weight')} description={t('telephony.form.weightHint')} min={0} max={1000} allowDecimal={false} {...form.getInputProps('weight')} />
                <Select
                  label={t('telephony.form.backup')}
                  description={t('telephony.form.backupHint')}
                  placeholder={t('telephony.form.noBackup')}
                  clearable
                  clearButtonProps={{ 'aria-label': t('telephony.form.noBackup') }}
                  data={others.filter((one) => one.id !== account?.id && one.account_id === form.values.account_id).map((one) => ({ value: one.id, label: one.label }))}
                  value={form.values.backup_account_id || null}
                  onChange={(value) => form.setFieldValue('backup_account_id', value ?? '')}
                />
              </SimpleGrid>
            </Accordion.Panel>
          </Accordion.Item>
          <Accordion.Item value="sound">
            <Accordion.Control>
              <Text size="sm">{t('telephony.form.sound')}</Text>
            </Accordion.Control>
            <Accordion.Panel>
              <Stack gap="sm">
                <Codecs value={form.values.codecs} onChange={(value) => form.setFieldValue('codecs', value)} />
                <Select
                  label={t('telephony.form.dtmf')}
                  description={t(`telephony.form.dtmfWhy.${form.values.dtmf as (typeof KEYPADS)[number]}`)}
                  data={KEYPADS.map((one) => ({ value: one, label: t(`telephony.form.dtmfs.${one}`) }))}
                  allowDeselect={false}
                  {...form.getInputProps('dtmf')}
                />
                <SimpleGrid cols={{ base: 1, sm: 2 }}>
                  <Choice label={t('telephony.form.noise')} hint={t('telephony.form.noiseHint')} none={t('telephony.form.asServer')} names={YES_NO} nameOf={(one) => t(`telephony.form.${one}`)} {...form.getInputProps('noise_suppression')} />
                  <Choice label={t('telephony.form.gain')} hint={t('telephony.form.gainHint')} none={t('telephony.form.asServer')} names={YES_NO} nameOf={(one) => t(`telephony.form.${one}`)} {...form.getInputProps('automatic_gain')} />
                  <Choice label={t('telephony.form.echo')} hint={t('telephony.form.echoHint')} none={t('telephony.form.asProfile')} names={YES_NO} nameOf={(one) => t(`telephony.form.${one}`)} {...form.getInputProps('echo_cancellation')} />
                  <NumberInput label={t('telephony.form.echoTail')} description={t('telephony.form.echoTailHint')} placeholder="64" min={16} max={256} suffix=" ms" allowDecimal={false} {...form.getInputProps('echo_tail_ms')} />
                </SimpleGrid>
              </Stack>
            </Accordion.Panel>
          </Accordion.Item>
          <Accordion.Item value="security">
            <Accordion.Control>
              <Text size="sm">{t('telephony.form.security')}</Text>
            </Accordion.Control>
            <Accordion.Panel>
              <Stack gap="sm">
                <Choice label={t('telephony.form.srtp')} hint={t('telephony.form.srtpHint')} none={t('telephony.form.asProfile')} names={SRTP} nameOf={(one) => t(`telephony.form.srtps.${one}`)} {...form.getInputProps('srtp')} />
                <TextInput label={t('telephony.form.realm')} description={t('telephony.form.realmHint')} placeholder="sip.example.org" spellCheck={false} {...form.getInputProps('realm')} />
                <TagsInput label={t('telephony.form.allow')} description={t('telephony.form.allowHint')} placeholder="192.0.2.0/24" clearable clearButtonProps={{ 'aria-label': t('common.clear') }} {...form.getInputProps('allow')} />
                <TagsInput label={t('telephony.form.certificates')} description={t('telephony.form.certificatesHint')} placeholder="AB:CD:…" clearable clearButtonProps={{ 'aria-label': t('common.clear') }} {...form.getInputProps('client_certificates')} />
                <TagsInput label={t('telephony.form.certificateNames')} description={t('telephony.form.certificateNamesHint')} placeholder="sip.carrier.example" clearable clearButtonProps={{ 'aria-label': t('common.clear') }} {...form.getInputProps('client_names')} />
                <Textarea label={t('telephony.form.certificateCa')} description={t('telephony.form.certificateCaHint')} placeholder="-----BEGIN CERTIFICATE-----" autosize minRows={2} maxRows={8} spellCheck={false} {...form.getInputProps('client_ca')} />
                <Checkbox label={t('telephony.form.certificateRequired')} description={t('telephony.form.certificateRequiredHint')} {...form.getInputProps('client_certificate_required', { type: 'checkbox' })} />
              </Stack>
            </Accordion.Panel>
          </Accordion.Item>
        </Accordion>

        <Alert color="gray" variant="light" title={t('telephony.test.title')}>
          <Stack gap="sm">
            <Text size="sm">{t('telephony.test.intro')}</Text>
            {!canTest && account?.has_password && form.values.password === '' && (
              <Text size="sm" c="dimmed">
                {t('telephony.test.needsPassword')}
              </Text>
            )}
            <Group align="flex-end">
              <TextInput label={t('telephony.test.number')} placeholder="+33612345678" value={number} onChange={(event) => setNumber(event.currentTarget.value)} inputMode="tel" />
              <Button variant="default" leftSection={<IconPhoneCall size={16} />} loading={test.isPending} disabled={!canTest} onClick={() => test.mutate()}>
                {t('telephony.test.run')}
              </Button>
            </Group>
            {test.error ? <ErrorNote error={test.error} /> : null}
            <Box aria-live="polite">
              {test.data && (
                <List spacing="xs" size="sm" center={false} listStyleType="none">
                  {test.data.steps.map((step) => {
                    const Shown = TEST_ICON[step.verdict];
                    return (
                      <List.Item
                        key={step.step}
                        icon={
                          <ThemeIcon size={22} radius="xl" color={TEST_COLOR[step.verdict]} variant="light">
                            <Shown size={14} aria-label={t(`telephony.test.verdicts.${step.verdict}`)} />
                          </ThemeIcon>
                        }
                      >
                        <Text size="sm">
                          <b>{t(`telephony.test.steps.${step.step}`)}</b>{step.verdict === 'skipped' ? '' : ` · ${milliseconds(step.tookMs)}`}
                        </Text>
                        <Text size="sm">{step.sentence}</Text>
                        {step.remedy && step.verdict !== 'passed' && (
                          <Text size="sm" c="dimmed">
                            {step.remedy}
                          </Text>
                        )}
                      </List.Item>
                    );
                  })}
                </List>
              )}
            </Box>
          </Stack>
        </Alert>

        <FormEnd cancel={done} submit={account ? t('common.save') : t('common.create')} busy={save.isPending} />
      </Stack>
    </form>
  );
}
