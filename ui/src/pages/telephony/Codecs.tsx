// The codecs of an account in their order, each with what speaks for it. By mouse and keyboard alike: buttons, no drag.
import { ActionIcon, Button, Group, Stack, Text } from '@mantine/core';
import { IconArrowDown, IconArrowUp, IconPlus, IconX } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

const CODECS = { pcma: 'G.711 A-law', pcmu: 'G.711 µ-law', g722: 'G.722', opus: 'Opus', g729: 'G.729', 'amr-wb': 'AMR-WB' } as const;
type Codec = keyof typeof CODECS;
const NAMES = Object.keys(CODECS) as Codec[];

const isCodec = (name: string): name is Codec => name in CODECS;

/** `value` is a list with commas, as the API has it; empty: the profile's. */
export function Codecs({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { t } = useTranslation();
  const chosen = value.split(',').map((one) => one.trim().toLowerCase()).filter(isCodec);
  const keep = (next: Codec[]) => onChange(next.join(','));
  const moved = (from: number, to: number) => {
    const next = [...chosen];
    const [one] = next.splice(from, 1);
    if (one) next.splice(to, 0, one);
    keep(next);
  };
  return (
    <fieldset className="plain-fieldset">
      <Text component="legend" size="sm" fw={500} p={0}>
        {t('telephony.form.codecs')}
      </Text>
      <Text size="xs" c="dimmed" mb="xs">
        {t('telephony.form.codecsHint')}
      </Text>
      <Stack gap={6} component="ol" m={0} p={0} style={{ listStyle: 'none' }} mb="xs">
        {chosen.length === 0 && (
          <Text component="li" size="sm">
            {t('telephony.form.codecNone')}
          </Text>
        )}
        {chosen.map((codec, index) => (
          <Group key={codec} component="li" wrap="nowrap" justify="space-between" gap="xs" align="flex-start">
            <div>
              <Text size="sm" fw={600}>
                {index + 1}. {CODECS[codec]}
              </Text>
              <Text size="xs" c="dimmed">
                {t(`telephony.form.codecWhy.${codec}`)}
              </Text>
            </div>
            <Group gap={2} wrap="nowrap">
              <ActionIcon variant="subtle" color="gray" aria-label={t('telephony.form.codecUp', { codec: CODECS[codec] })} disabled={index === 0} onClick={() => moved(index, index - 1)}>
                <IconArrowUp size={16} />
              </ActionIcon>
              <ActionIcon variant="subtle" color="gray" aria-label={t('telephony.form.codecDown', { codec: CODECS[codec] })} disabled={index === chosen.length - 1} onClick={() => moved(index, index + 1)}>
                <IconArrowDown size={16} />
              </ActionIcon>
              <ActionIcon variant="subtle" color="gray" aria-label={t('telephony.form.codecRemove', { codec: CODECS[codec] })} onClick={() => keep(chosen.filter((one) => one !== codec))}>
                <IconX size={16} />
              </ActionIcon>
            </Group>
          </Group>
        ))}
      </Stack>
      <Group gap="xs">
        {NAMES.filter((one) => !chosen.includes(one)).map((codec) => (
          <Button key={codec} size="compact-sm" variant="default" leftSection={<IconPlus size={14} />} aria-label={t('telephony.form.codecAdd', { codec: CODECS[codec] })} title={t(`telephony.form.codecWhy.${codec}`)} onClick={() => keep([...chosen, codec])}>
            {CODECS[codec]}
          </Button>
        ))}
      </Group>
    </fieldset>
  );
}
