// Forms of plain fields, written as data: label, check and error in one place for all of them.
import { MultiSelect, NumberInput, Select, SimpleGrid, Stack, Switch, TagsInput, Textarea, TextInput } from '@mantine/core';
import { useForm, type UseFormReturnType } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { FormEnd, NewPassword } from './fields';
import { ErrorNote } from './Page';
import type { Field, FormValues, SpecProps } from './SpecForm';

function empty(field: Field): unknown {
  if (field.kind === 'switch') return false;
  if (field.kind === 'multi' || field.kind === 'tags') return [];
  return '';
}

/** What is sent: empty texts as null, numbers as numbers. */
function cleaned(fields: Field[], values: FormValues): FormValues {
  const sent: FormValues = {};
  for (const field of fields) {
    const value = values[field.name];
    if (typeof value === 'string') sent[field.name] = value.trim() === '' ? null : field.kind === 'area' || field.kind === 'code' ? value : value.trim();
    else sent[field.name] = value;
  }
  return sent;
}

export function SpecFields({ fields, initial, submit, onSubmit, onCancel, busy, error, columns = 2, children }: SpecProps) {
  const { t } = useTranslation();
  const form = useForm<FormValues>({
    initialValues: Object.fromEntries(fields.map((field) => [field.name, initial[field.name] ?? empty(field)])),
    validate: Object.fromEntries(
      fields.map((field) => [
        field.name,
        (value: unknown, values: FormValues) => {
          if (field.required && (value === '' || value === null || value === undefined)) return t('common.required');
          if (field.kind === 'email' && value && !/^\S+@\S+\.\S+$/.test(String(value))) return t('common.emailInvalid');
          if (field.kind === 'number' && value !== '' && value !== null) {
            const amount = Number(value);
            if (field.min !== undefined && amount < field.min) return t('common.atLeast', { value: field.min });
            if (field.max !== undefined && amount > field.max) return t('common.atMost', { value: field.max });
          }
          return field.check?.(value, values) ?? null;
        },
      ]),
    ),
  });
  return (
    <form onSubmit={form.onSubmit((values) => onSubmit(cleaned(fields, values)))} noValidate>
      <Stack>
        {error ? <ErrorNote error={error} /> : null}
        <SimpleGrid cols={{ base: 1, sm: columns }} verticalSpacing="sm">
          {fields.map((field, index) => (
            <div key={field.name} className={field.wide || field.kind === 'area' || field.kind === 'code' ? 'whole' : undefined}>
              <Input field={field} form={form as never} first={index === 0} />
            </div>
          ))}
        </SimpleGrid>
        {children}
        <FormEnd cancel={onCancel} submit={submit} busy={busy} />
      </Stack>
    </form>
  );
}

function Input({ field, form, first }: { field: Field; form: Pick<UseFormReturnType<FormValues>, 'getInputProps' | 'setFieldValue'>; first: boolean }) {
  const { t } = useTranslation();
  const common = { label: field.label, description: field.hint, withAsterisk: field.required, placeholder: field.placeholder, ...(first ? { 'data-autofocus': true } : {}) };
  const props = form.getInputProps(field.name);
  switch (field.kind) {
    case 'switch':
      return <Switch label={field.label} description={field.hint} mt="xs" {...form.getInputProps(field.name, { type: 'checkbox' })} />;
    case 'number':
      return <NumberInput {...common} min={field.min} max={field.max} clampBehavior="none" decimalScale={field.decimals ?? 0} suffix={field.suffix} decimalSeparator="," allowedDecimalSeparators={[',', '.']} hideControls {...props} />;
    case 'select':
      return <Select {...common} data={field.options ?? []} allowDeselect={!field.required} clearable={!field.required} searchable={(field.options?.length ?? 0) > 8} clearButtonProps={{ 'aria-label': t('common.clear') }} {...props} value={(props.value as string) || null} onChange={(value) => form.setFieldValue(field.name, value ?? '')} />;
    case 'multi':
      return <MultiSelect {...common} data={field.options ?? []} clearable clearButtonProps={{ 'aria-label': t('common.clear') }} {...props} />;
    case 'tags':
      return <TagsInput {...common} clearable clearButtonProps={{ 'aria-label': t('common.clear') }} {...props} />;
    case 'password':
      return <NewPassword {...common} {...props} />;
    case 'area':
      return <Textarea {...common} autosize minRows={3} maxRows={14} {...props} />;
    case 'code':
      return <Textarea {...common} autosize minRows={5} maxRows={24} spellCheck={false} styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }} {...props} />;
    default:
      return <TextInput {...common} type={field.kind ?? 'text'} inputMode={field.kind === 'tel' ? 'tel' : undefined} autoComplete="off" {...props} />;
  }
}
