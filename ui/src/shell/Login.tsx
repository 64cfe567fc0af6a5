import { Alert, Button, Center, Paper, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useRouter } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { ask, problemOf } from '../api/client';
import { ME_KEY, readMe } from '../api/session';
import { LanguageSwitch, SchemeSwitch } from './Switches';
import { Brand } from './Brand';

/** Where to go after the log-in: a page of ours, never another address. */
function target(): string {
  const wanted = new URLSearchParams(window.location.search).get('from') ?? '';
  return /^\/[a-z]/.test(wanted) && !wanted.startsWith('/login') ? wanted : '/live';
}

export function Login() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const router = useRouter();
  const form = useForm({ initialValues: { email: '', password: '' } });
  const login = useMutation({
    mutationFn: async (values: typeof form.values) => {
      await ask('POST', '/api/auth/login', values);
      queries.setQueryData(ME_KEY, await readMe());
    },
    onSuccess: () => router.history.push(`/admin${target()}`),
  });
  const problem = login.error ? problemOf(login.error) : null;
  return (
    <Center mih="100vh" p="md" component="main">
      <Stack w={400} maw="100%" gap="lg">
        <Center>
          <Brand />
        </Center>
        <Paper withBorder p="xl" radius="lg">
          <form onSubmit={form.onSubmit((values) => login.mutate(values))}>
            <Stack>
              <Title order={1} size="h2">
                {t('common.login.title')}
              </Title>
              {problem && (
                <Alert color="red" role="alert" title={problem.title}>
                  {problem.remedy}
                </Alert>
              )}
              <TextInput label={t('common.email')} type="email" autoComplete="username" required autoFocus {...form.getInputProps('email')} />
              <PasswordInput label={t('common.password')} autoComplete="current-password" required visibilityToggleButtonProps={{ 'aria-label': t('common.showPassword') }} {...form.getInputProps('password')} />
              <Button type="submit" loading={login.isPending} size="md">
                {t('common.login.submit')}
              </Button>
              <Text size="xs" c="dimmed">
                {t('common.login.first')}
              </Text>
            </Stack>
          </form>
        </Paper>
        <Center>
          <LanguageSwitch />
          <SchemeSwitch />
        </Center>
      </Stack>
    </Center>
  );
}
