// Pieces that several forms are made of.
import { Anchor, Box, Button, Group, PasswordInput, Select, Text, type PasswordInputProps, type SelectProps } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSession } from '../api/session';

/** Whose it becomes, where several accounts are seen. */
export function AccountSelect(props: SelectProps) {
  const { t } = useTranslation();
  const { accountId, accounts } = useSession();
  if (accountId || accounts.length < 2) return null;
  return <Select label={t('common.account')} data={accounts.map((one) => ({ value: one.id, label: one.name }))} allowDeselect={false} {...props} />;
}

/** A password that is written. */
export function NewPassword(props: PasswordInputProps) {
  const { t } = useTranslation();
  return <PasswordInput label={t('common.password')} autoComplete="new-password" visibilityToggleButtonProps={{ 'aria-label': t('common.showPassword') }} {...props} />;
}

/** A password that is stored, and nobody reads. */
export function KeptPassword({ replace }: { replace: () => void }) {
  const { t } = useTranslation();
  return (
    <Box>
      <Text size="sm" fw={500}>
        {t('common.password')}
      </Text>
      <Group gap="xs" h={36}>
        <Text size="sm">{t('common.passwordKept')}</Text>
        <Anchor component="button" type="button" size="sm" onClick={replace}>
          {t('common.passwordReplace')}
        </Anchor>
      </Group>
    </Box>
  );
}

interface ChoiceProps<N extends string> {
  label: string;
  hint: string;
  /** What it is called that nothing is chosen. */
  none: string;
  names: readonly N[];
  nameOf: (name: N) => string;
}

/** One of a few, or what the profile or the server says. */
export function Choice<N extends string>({ label, hint, none, names, nameOf, ...input }: ChoiceProps<N>) {
  const data: { value: string; label: string }[] = [{ value: '', label: none }, ...names.map((one) => ({ value: one, label: nameOf(one) }))];
  return <Select label={label} description={hint} data={data} allowDeselect={false} {...input} />;
}

/** The end of a form. */
export function FormEnd({ cancel, submit, busy, disabled }: { cancel?: () => void; submit: string; busy?: boolean; disabled?: boolean }) {
  const { t } = useTranslation();
  return (
    <Group justify="flex-end">
      {cancel && (
        <Button variant="default" onClick={cancel}>
          {t('common.cancel')}
        </Button>
      )}
      <Button type="submit" loading={busy} disabled={disabled}>
        {submit}
      </Button>
    </Group>
  );
}
