import { Alert, Button, Center, Paper, PasswordInput, Progress, Stack, Text, TextInput, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useRouter } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ask, problemOf } from '../api/client';
import { ME_KEY, readMe } from '../api/session';
import { Brand } from './Brand';
import { LanguageSwitch, SchemeSwitch } from './Switches';

const PASSWORD_LEAST = 12;

/** The first administrator, by the one-time link that the server prints. The token stands behind `#`: no server log has it. */
export function Setup() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const router = useRouter();
  const [token] = useState(() => {
    const read = window.location.hash.slice(1);
    // Neither the history nor a shared screen keeps it.
    if (read) window.history.replaceState(null, '', window.location.pathname);
    return read;
  });
  const form = useForm({
    initialValues: { name: '', email: '', password: '', again: '' },
    validate: {
      name: (value) => (value.trim() ? null : t('common.required')),
      email: (value) => (/^\S+@\S+\.\S+$/.test(value) ? null : t('common.emailInvalid')),
      password: (value) => (value.length >= PASSWORD_LEAST ? null : t('common.setup.passwordShort', { count: PASSWORD_LEAST })),
      again: (value, values) => (value === values.password ? null : t('common.setup.passwordDiffers')),
    },
  });
  const create = useMutation({
    mutationFn: async ({ name, email, password }: typeof form.values) => {
      await ask('POST', '/api/auth/first-run', { token, name, email, password });
      queries.setQueryData(ME_KEY, await readMe());
    },
    onSuccess: () => router.history.push('/admin/start'),
  });
  const problem = create.error ? problemOf(create.error) : null;
  const length = form.values.password.length;
  return (
    <Center mih="100vh" p="md" component="main">
      <Stack w={460} maw="100%" gap="lg">
        <Center>
          <Brand />
        </Center>
        <Paper withBorder p="xl" radius="lg">
          {token ? (
            <form onSubmit={form.onSubmit((values) => create.mutate(values))}>
              <Stack>
                <Title order={1} size="h2">
                  {t('common.setup.title')}
                </Title>
                <Text size="sm" c="dimmed">
                  {t('common.setup.intro')}
                </Text>
                {problem && (
                  <Alert color="red" role="alert" title={problem.title}>
                    {problem.remedy}
                  </Alert>
                )}
                <TextInput label={t('common.name')} autoComplete="name" autoFocus {...form.getInputProps('name')} />
                <TextInput label={t('common.email')} type="email" autoComplete="username" {...form.getInputProps('email')} />
                <div>
                  <PasswordInput label={t('common.password')} description={t('common.setup.passwordHint', { count: PASSWORD_LEAST })} autoComplete="new-password" visibilityToggleButtonProps={{ 'aria-label': t('common.showPassword') }} {...form.getInputProps('password')} />
                  <Progress value={Math.min(100, (length / PASSWORD_LEAST) * 100)} size={4} mt={6} color={length >= PASSWORD_LEAST ? 'teal' : 'orange'} aria-label={t('common.setup.passwordLength')} />
                </div>
                <PasswordInput label={t('common.setup.again')} autoComplete="new-password" visibilityToggleButtonProps={{ 'aria-label': t('common.showPassword') }} {...form.getInputProps('again')} />
                <Button type="submit" size="md" loading={create.isPending}>
                  {t('common.setup.submit')}
                </Button>
              </Stack>
            </form>
          ) : (
            <Stack>
              <Title order={1} size="h2">
                {t('common.setup.noTokenTitle')}
              </Title>
              <Text size="sm">{t('common.setup.noToken')}</Text>
            </Stack>
          )}
        </Paper>
        <Center>
          <LanguageSwitch />
          <SchemeSwitch />
        </Center>
      </Stack>
    </Center>
  );
}
