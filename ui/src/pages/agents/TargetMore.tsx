// What the person of a destination hears and is asked before the caller is joined, and what happens when they hang up.
import { Group, NumberInput, Switch, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';

/** The fields of a stored destination that are edited here; others are kept as they are. */
type Rest = Record<string, unknown>;

const SCREEN_SECONDS = { min: 5, max: 60, usual: 15 };

export function TargetMore({ rest, set }: { rest: Rest; set: (next: Rest) => void }) {
  const { t } = useTranslation();
  /** What is as usual is not stored. */
  function put(changes: Rest) {
    set(Object.fromEntries(Object.entries({ ...rest, ...changes }).filter(([, value]) => value !== undefined)));
  }
  const screens = rest['screen'] === true;
  return (
    <Group align="center" gap="md" pb="xs">
      <TextInput
        flex={1}
        miw={260}
        aria-label={t('agents.editor.targetAnnounce')}
        placeholder={t('agents.editor.targetAnnounceHint', { callerPhone: '{{callerPhone}}', summary: '{{$ai.summary}}' })}
        value={(rest['announce'] as string | undefined) ?? ''}
        onChange={(event) => put({ announce: event.currentTarget.value || undefined })}
      />
      <Switch label={t('agents.editor.targetScreen')} checked={screens} onChange={(event) => put({ screen: event.currentTarget.checked || undefined, screenSeconds: undefined })} />
      {screens && (
        <NumberInput
          w={100}
          aria-label={t('agents.editor.targetScreenSeconds')}
          suffix=" s"
          min={SCREEN_SECONDS.min}
          max={SCREEN_SECONDS.max}
          placeholder={`${SCREEN_SECONDS.usual} s`}
          value={(rest['screenSeconds'] as number | undefined) ?? ''}
          onChange={(next) => put({ screenSeconds: next === '' ? undefined : next })}
        />
      )}
      <Switch label={t('agents.editor.targetReturns')} checked={rest['returnToAgent'] === true} onChange={(event) => put({ returnToAgent: event.currentTarget.checked || undefined })} />
    </Group>
  );
}
