// What changes something: one way to run it, to say how it went, and to ask before what cannot be undone.
import { Button, Group, Text } from '@mantine/core';
import { IconAlertTriangle, IconCheck, IconCopy, type Icon } from '@tabler/icons-react';
import { useMutation, useQueryClient, type QueryKey } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { problemOf } from '../api/client';
import i18n from '../i18n';
import { overlays } from '../shell/overlays';

export function tellDone(message: string) {
  void overlays().then(({ notifications }) => notifications.show({ message, color: 'allo', icon: <IconCheck size={18} />, autoClose: 4000, closeButtonProps: { 'aria-label': i18n.t('common.close') } }));
}

export function tellFailed(error: unknown, title?: string) {
  const problem = problemOf(error);
  const more = [title ? problem.title : null, problem.remedy, ...(problem.errors ?? []).map((fault) => `${fault.path}: ${fault.detail}`)].filter(Boolean);
  void overlays().then(({ notifications }) => notifications.show({ title: title ?? problem.title, message: more.join(' '), color: 'red', icon: <IconAlertTriangle size={18} />, autoClose: 10_000, closeButtonProps: { 'aria-label': i18n.t('common.close') } }));
}

/** A change: `run(variables)`; what it makes stale is read again, and the outcome is said. */
export function useAction<V, R = unknown>(action: (variables: V) => Promise<R>, options: { stale?: QueryKey[]; done?: string | ((result: R, variables: V) => string | undefined); quiet?: boolean } = {}) {
  const queries = useQueryClient();
  return useMutation<R, unknown, V>({
    mutationFn: action,
    onSuccess: async (result, variables) => {
      const said = typeof options.done === 'function' ? options.done(result, variables) : options.done;
      if (said) tellDone(said);
      await Promise.all((options.stale ?? []).map((queryKey) => queries.invalidateQueries({ queryKey })));
    },
    onError: (error) => {
      if (!options.quiet) tellFailed(error);
    },
  });
}

export function confirmed(options: { title: string; text: string; confirm: string; cancel: string; onConfirm: () => void }) {
  void overlays().then(({ modals }) => modals.openConfirmModal({
    title: options.title,
    children: <Text size="sm">{options.text}</Text>,
    labels: { confirm: options.confirm, cancel: options.cancel },
    confirmProps: { color: 'red' },
    onConfirm: options.onConfirm,
  }));
}

/** A button of an icon with its words, for eyes that rest on it and ears. A table has a hundred of them: a plain element, whose words the browser
 * shows itself. */
export function IconButton({ label, icon: Shown, onClick, tone, disabled }: { label: string; icon: Icon; onClick: () => void; tone?: 'good'; disabled?: boolean }) {
  return (
    <button type="button" className="icon-button" data-tone={tone} aria-label={label} title={label} onClick={onClick} disabled={disabled}>
      <Shown size={18} />
    </button>
  );
}

/** A value to copy: a token that is shown once, an address for a carrier. */
export function Copyable({ value, label }: { value: string; label: string }) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  const copy = () =>
    void navigator.clipboard
      .writeText(value)
      .then(() => setCopied(true))
      .catch(() => setCopied(false));
  return (
    <Group gap="xs" wrap="nowrap" align="center">
      <Text ff="monospace" size="sm" p="xs" bg="var(--mantine-color-default-hover)" flex={1} miw={0} data-copyable lh={1.4} bdrs="sm" style={{ overflowWrap: 'anywhere' }} aria-label={label}>
        {value}
      </Text>
      <Button variant="default" leftSection={copied ? <IconCheck size={16} /> : <IconCopy size={16} />} onClick={copy}>
        {copied ? t('common.copied') : t('common.copy')}
      </Button>
    </Group>
  );
}
