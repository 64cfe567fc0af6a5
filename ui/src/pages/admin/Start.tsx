// From nothing to a heard call, in four steps that can each be skipped.
import { Alert, Button, Card, Drawer, Group, Modal, PasswordInput, Select, SimpleGrid, Stack, Stepper, Text, TextInput, Title } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconKey, IconMessageCircle, IconPhone, IconPhoneCall, IconPlus, IconRobot } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, useApi, type Schemas, WHOLE } from '../../api/client';
import { useOfAccounts } from '../../api/lists';
import { useLive } from '../../api/live';
import { useAgents } from '../../api/names';
import { useSession } from '../../api/session';
import { Copyable, useAction } from '../../parts/actions';
import { milliseconds } from '../../parts/format';
import { Later } from '../../parts/Later';
import { Answered, ErrorNote, Loading, Page } from '../../parts/Page';
import { useUrlState } from '../../parts/useUrlState';
import type { SipAccount } from '../telephony/types';

const NewAgent = lazy(() => import('../agents/NewAgent').then((module) => ({ default: module.NewAgent })));
const SipAccountForm = lazy(() => import('../telephony/SipAccountForm').then((module) => ({ default: module.SipAccountForm })));
const Voice = lazy(() => import('../agents/Voice').then((module) => ({ default: module.Voice })));

/** Engines by the names of the API; `custom` is a server that speaks as OpenAI does. */
const PROVIDERS = ['openai', 'azure', 'gemini', 'xai', 'custom'] as const;
type Provider = (typeof PROVIDERS)[number];
/** They are somewhere else for everybody. */
const NEEDS_ADDRESS: readonly Provider[] = ['azure', 'custom'];
const CHOSEN = 'allo.start.engine';

interface Engine {
  provider: Provider;
  url?: string;
  model?: string;
}

/** What agents call it. */
const named = (provider: Provider) => (provider === 'custom' ? 'compatible' : provider);

/** The engine of the first step: agents that are made here begin with it. */
function chosenEngine(): Engine | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(CHOSEN) ?? 'null') as Engine | null;
    return kept && kept.provider !== 'openai' ? kept : undefined;
  } catch {
    return undefined;
  }
}

export function Start() {
  const { t } = useTranslation();
  const { accountId: account } = useSession();
  const known = useApi('/api/accounts', { query: { limit: WHOLE } }, { staleTime: 60_000 });
  const [step, setStep] = useUrlState('step', '0');
  const at = Math.min(3, Math.max(0, Number(step) || 0));
  const go = (to: number) => setStep(String(to));
  if (!account) {
    return (
      <Page title={t('admin.start.title')} intro={t('admin.start.intro')}>
        <Answered query={known}>{() => <House />}</Answered>
      </Page>
    );
  }
  return (
    <Page title={t('admin.start.title')} intro={t('admin.start.intro')}>
      <Stepper active={at} onStepClick={go} mb="lg" iconSize={38}>
        <Stepper.Step label={t('admin.start.engine')} description={t('admin.start.engineHint')} icon={<IconKey size={18} />} />
        <Stepper.Step label={t('admin.start.line')} description={t('admin.start.lineHint')} icon={<IconPhone size={18} />} />
        <Stepper.Step label={t('admin.start.agent')} description={t('admin.start.agentHint')} icon={<IconRobot size={18} />} />
        <Stepper.Step label={t('admin.start.call')} description={t('admin.start.callHint')} icon={<IconPhoneCall size={18} />} />
      </Stepper>
      <Card withBorder radius="md" padding="lg">
        {at === 0 && <EngineStep account={account} />}
        {at === 1 && <Line />}
        {at === 2 && <Agent />}
        {at === 3 && <Call account={account} />}
        <Group justify="space-between" mt="xl">
          <Button variant="default" disabled={at === 0} onClick={() => go(at - 1)}>
            {t('admin.start.back')}
          </Button>
          {at < 3 && <Button onClick={() => go(at + 1)}>{t('admin.start.next')}</Button>}
        </Group>
      </Card>
    </Page>
  );
}

/** Everything that follows belongs to an account: a new one, or one that is there. */
function House() {
  const { t } = useTranslation();
  const { me, accounts, chooseAccount } = useSession();
  const [name, setName] = useState('');
  const user = useApi('/api/auth/me', {}, { staleTime: 60_000 });
  const email = (user.data as { email?: string } | undefined)?.email ?? me.name;
  const make = useAction(() => ask<{ id: string }>('POST', '/api/accounts', { name: name.trim(), email, isActive: true }), { stale: [['/api/accounts']], quiet: true });
  return (
    <Card withBorder radius="md" padding="lg" maw={560}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          make.mutate(undefined, { onSuccess: (made) => chooseAccount(made.id) });
        }}
      >
        <Stack>
          <Title order={2} size="h4">
            {t('admin.start.house')}
          </Title>
          <Text size="sm">{t('admin.start.houseText')}</Text>
          {make.error ? <ErrorNote error={make.error} /> : null}
          <TextInput label={t('admin.start.houseName')} required data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Group justify="flex-end">
            <Button type="submit" loading={make.isPending} disabled={!name.trim()}>
              {t('admin.start.houseMake')}
            </Button>
          </Group>
          {accounts.length > 0 && (
            <Select label={t('admin.start.houseKnown')} data={accounts.map((one) => ({ value: one.id, label: one.name }))} value={null} onChange={(id) => id && chooseAccount(id)} />
          )}
        </Stack>
      </form>
    </Card>
  );
}

function EngineStep({ account }: { account: string }) {
  const { t } = useTranslation();
  const { may } = useSession();
  const [provider, setProvider] = useState<Provider>(() => chosenEngine()?.provider ?? 'openai');
  const [url, setUrl] = useState(() => chosenEngine()?.url ?? '');
  const [model, setModel] = useState(() => chosenEngine()?.model ?? '');
  const [key, setKey] = useState('');
  const secrets = useApi('/api/accounts/{id}/secrets', { path: { id: account } }, { enabled: may('admin') });
  const kept = (secrets.data ?? []).some((one) => one.purpose === `engine:${provider}`);
  const elsewhere = NEEDS_ADDRESS.includes(provider);
  const stale = [['/api/accounts/{id}/secrets']];

  const keep = useAction(() => ask('PUT', `/api/accounts/${account}/secrets/engine:${provider}`, { value: key }), { stale, done: t('admin.start.keySaved') });
  const test = useAction(
    async () => {
      const asked = { ...(provider === 'openai' ? {} : { provider: named(provider) }), url: url.trim() || undefined, model: model.trim() || undefined, key: key.trim() || undefined };
      const found = await ask<Schemas['EngineTestView']>('POST', `/api/accounts/${account}/engine-test`, asked);
      if (found.passed) sessionStorage.setItem(CHOSEN, JSON.stringify({ provider, url: asked.url, model: asked.model } satisfies Engine));
      return found;
    },
    { quiet: true },
  );
  const found = test.data;
  const reset = () => test.reset();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        test.mutate(undefined, { onSuccess: (result) => result.passed && key && keep.mutate(undefined, { onSuccess: () => setKey('') }) });
      }}
    >
      <Stack>
        <Text>{t('admin.start.engineText')}</Text>
        {kept && <Alert color="allo">{t('admin.start.keyKept', { provider: t(`admin.start.providers.${provider}`) })}</Alert>}
        <Group align="flex-end">
          <Select
            w={{ base: '100%', sm: 320 }}
            label={t('admin.start.provider')}
            data={PROVIDERS.map((one) => ({ value: one, label: t(`admin.start.providers.${one}`) }))}
            value={provider}
            onChange={(value) => {
              setProvider((value ?? 'openai') as Provider);
              reset();
            }}
            allowDeselect={false}
          />
          <PasswordInput
            flex={1}
            miw={260}
            label={t('admin.start.key')}
            placeholder={kept ? t('admin.start.keyKeptHint') : 'sk-…'}
            autoComplete="off"
            value={key}
            onChange={(event) => {
              setKey(event.currentTarget.value);
              reset();
            }}
            visibilityToggleButtonProps={{ 'aria-label': t('common.showPassword') }}
          />
        </Group>
        {elsewhere && (
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput label={t('admin.start.engineUrl')} placeholder="wss://…" spellCheck={false} required value={url} onChange={(event) => setUrl(event.currentTarget.value)} />
            <TextInput label={provider === 'azure' ? t('admin.start.deployment') : t('agents.editor.model')} spellCheck={false} required={provider === 'azure'} value={model} onChange={(event) => setModel(event.currentTarget.value)} />
          </SimpleGrid>
        )}
        <Group>
          <Button type="submit" loading={test.isPending || keep.isPending} disabled={elsewhere && !url.trim()}>
            {key ? t('admin.start.tryAndKeep') : t('admin.start.tryKept')}
          </Button>
          {found && !found.passed && key.length >= 8 && (
            <Button variant="default" loading={keep.isPending} onClick={() => keep.mutate(undefined, { onSuccess: () => setKey('') })}>
              {t('admin.start.keepAnyway')}
            </Button>
          )}
        </Group>
        {test.error ? <ErrorNote error={test.error} /> : null}
        {found && (
          <Alert color={found.passed ? 'allo' : 'red'} role={found.passed ? 'status' : 'alert'} icon={found.passed ? <IconCircleCheck /> : <IconAlertTriangle />} title={found.sentence} data-engine={found.code}>
            <Text size="sm">{found.passed ? t('admin.start.testedIn', { time: milliseconds(found.tookMs) }) : found.remedy}</Text>
          </Alert>
        )}
      </Stack>
    </form>
  );
}

function Line() {
  const { t } = useTranslation();
  const lines = useOfAccounts<SipAccount>('/api/admin/sip-accounts', 'account_id', { refetchInterval: 5000 });
  const twilio = useApi('/api/carriers/twilio', {}, { staleTime: Infinity });
  const [adding, setAdding] = useState(false);
  const count = lines.data?.length ?? 0;
  return (
    <Stack>
      <Text>{t('admin.start.lineText')}</Text>
      {count > 0 && (
        <Alert color="allo" role="status">
          {t('admin.start.lineHave', { count })}{' '}
          {(lines.data ?? []).map((one) => `${one.label}: ${t(`telephony.registration.${one.status.state}` as 'telephony.registration.registered', { defaultValue: one.status.state })}`).join(' · ')}
        </Alert>
      )}
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card withBorder padding="md" radius="md" component="section" aria-label="SIP">
          <Text component="h2" fw={650}>
            {t('admin.start.bySip')}
          </Text>
          <Text size="sm" mb="sm">
            {t('admin.start.bySipText')}
          </Text>
          <Group>
            <Button leftSection={<IconPlus size={16} />} variant={count > 0 ? 'default' : 'filled'} onClick={() => setAdding(true)}>
              {t('admin.start.lineAdd')}
            </Button>
          </Group>
        </Card>
        <Card withBorder padding="md" radius="md" component="section" aria-label="Twilio">
          <Text component="h2" fw={650}>
            Twilio
          </Text>
          <Text size="sm" mb="sm">
            {t('admin.start.twilio')}
          </Text>
          {twilio.data?.webhook ? (
            <Copyable value={twilio.data.webhook} label={t('admin.start.twilioAddress')} />
          ) : (
            twilio.data && (
              <>
                <Copyable value={`https://…${twilio.data.path}`} label={t('admin.start.twilioAddress')} />
                <Text size="sm" c="dimmed" mt="xs">
                  {t('admin.start.twilioNoUrl')}
                </Text>
              </>
            )
          )}
        </Card>
      </SimpleGrid>
      <Drawer opened={adding} onClose={() => setAdding(false)} position="right" size="lg" title={t('admin.start.lineAdd')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {adding && <Later><SipAccountForm account={null} others={lines.data ?? []} done={() => setAdding(false)} /></Later>}
      </Drawer>
    </Stack>
  );
}

function Agent() {
  const { t } = useTranslation();
  const agents = useAgents();
  const [making, setMaking] = useState(false);
  const engine = chosenEngine();
  const count = agents.data?.length ?? 0;
  return (
    <Stack>
      <Text>{t('admin.start.agentText')}</Text>
      {count > 0 && (
        <Alert color="allo">
          {t('admin.start.agentHave', { count })} {(agents.data ?? []).slice(0, 5).map((one) => one.name).join(', ')}
        </Alert>
      )}
      <Group>
        <Button leftSection={<IconPlus size={16} />} variant={count > 0 ? 'default' : 'filled'} onClick={() => setMaking(true)}>
          {t('admin.start.agentAdd')}
        </Button>
      </Group>
      <Modal opened={making} onClose={() => setMaking(false)} size="lg" title={t('admin.start.agentAdd')} closeButtonProps={{ 'aria-label': t('common.close') }}>
        {making && <Later><NewAgent done={() => setMaking(false)} engine={engine && { ...engine, provider: named(engine.provider) }} /></Later>}
      </Modal>
    </Stack>
  );
}

function Call({ account }: { account: string }) {
  const { t } = useTranslation();
  const agents = useAgents();
  const lines = useOfAccounts<SipAccount>('/api/admin/sip-accounts', 'account_id');
  const live = useApi('/api/calls/live', { query: { accountId: account } }, { refetchInterval: 5000 });
  useLive(({ kind }) => {
    if (kind === 'call.started' || kind === 'call.ended') void live.refetch();
  });
  const [agent, setAgent] = useState<string | null>(null);
  const [line, setLine] = useState<string | null>(null);
  const [number, setNumber] = useState('');
  // The lists are newest first.
  const chosenAgent = agent ?? agents.data?.[0]?.id ?? null;
  const shown = agents.data?.find((one) => one.id === chosenAgent);
  const chosenLine = line ?? lines.data?.find((one) => one.is_default)?.id ?? lines.data?.[0]?.id ?? null;
  const slug = 'mise-en-route';
  const connect = useAction(
    async () => {
      const found = await ask<{ id: string; slug: string }[]>('GET', `/api/admin/workflows?account_id=${account}&slug=${slug}`);
      const body = { agent_id: chosenAgent, sip_account_id: chosenLine };
      const known = found.find((one) => one.slug === slug);
      return known ? ask('PATCH', `/api/admin/workflows/${known.id}`, body) : ask('POST', '/api/admin/workflows', { account_id: account, slug, name: t('admin.start.title'), ...body });
    },
    { stale: [['/api/admin/workflows']], done: t('admin.start.connected', { name: shown?.name ?? '' }), quiet: true },
  );
  const place = useAction(() => ask('POST', '/api/calls', { to: number.trim(), agentId: chosenAgent, ...(chosenLine ? { line: chosenLine } : {}) }), { done: t('admin.start.calling'), stale: [['/api/calls/live']], quiet: true });
  if (agents.data?.length === 0) return <Text>{t('admin.start.noAgent')}</Text>;
  return (
    <Stack>
      {connect.error ? <ErrorNote error={connect.error} /> : place.error ? <ErrorNote error={place.error} /> : null}
      <Select maw={420} label={t('calls.history.agent')} data={(agents.data ?? []).map((one) => ({ value: one.id, label: one.name }))} value={chosenAgent} onChange={setAgent} allowDeselect={false} />
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card withBorder padding="md" radius="md" component="section" aria-label={t('admin.start.here')}>
          <Text component="h2" fw={650} mb="xs">
            {t('admin.start.here')}
          </Text>
          <Suspense fallback={<Loading />}>{shown && <Voice key={shown.id} agent={shown} />}</Suspense>
          <Group mt="sm">
            {chosenAgent && (
              <Button component={Link} to={`/agents/${chosenAgent}`} search={{ try: 'chat' } as never} variant="subtle" leftSection={<IconMessageCircle size={16} />}>
                {t('admin.start.write')}
              </Button>
            )}
          </Group>
        </Card>
        <Card withBorder padding="md" radius="md" component="section" aria-label={t('admin.start.byPhone')}>
          <Text component="h2" fw={650} mb="xs">
            {t('admin.start.byPhone')}
          </Text>
          <Text size="sm" mb="sm">
            {t('admin.start.callText')}
          </Text>
          <Stack>
            <Group align="flex-end">
              <Select flex={1} label={t('calls.history.line')} data={(lines.data ?? []).map((one) => ({ value: one.id, label: one.label }))} value={chosenLine} onChange={setLine} allowDeselect={false} />
              <Button variant="light" loading={connect.isPending} disabled={!chosenAgent || !chosenLine} onClick={() => connect.mutate(undefined)}>
                {t('admin.start.connect')}
              </Button>
            </Group>
            <form
              onSubmit={(event) => {
                event.preventDefault();
                place.mutate(undefined);
              }}
            >
              <Group align="flex-end">
                <TextInput flex={1} label={t('admin.start.number')} placeholder="+33612345678" inputMode="tel" value={number} onChange={(event) => setNumber(event.currentTarget.value)} />
                <Button type="submit" variant="light" leftSection={<IconPhoneCall size={16} />} loading={place.isPending} disabled={!number.trim() || !chosenAgent}>
                  {t('admin.start.callMe')}
                </Button>
              </Group>
            </form>
          </Stack>
        </Card>
      </SimpleGrid>
      {(live.data?.length ?? 0) > 0 && (
        <Alert color="allo" role="status">
          <Link to="/live">{t('admin.start.liveNow', { count: live.data?.length })}</Link>
        </Alert>
      )}
    </Stack>
  );
}
