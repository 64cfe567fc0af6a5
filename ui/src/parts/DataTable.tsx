// One table for all lists: sortable by TanStack Table, virtual where it is long, cards on a telephone.
import { Button, VisuallyHidden } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { IconArrowDown, IconArrowUp, IconArrowsSort } from '@tabler/icons-react';
import { createSortedRowModel, rowSortingFeature, tableFeatures, useTable, type ColumnDef } from '@tanstack/react-table';
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import classes from './DataTable.module.css';

export interface Column<T> {
  id: string;
  header: string;
  cell: (row: T) => ReactNode;
  /** What it is sorted by; without it the column is not. */
  sort?: (row: T) => string | number;
  right?: boolean;
  width?: number | string;
  /** The heading of the card on a telephone. */
  title?: boolean;
  /** Not on the card. */
  wideOnly?: boolean;
}

export interface Sorting {
  id: string;
  desc: boolean;
}

interface Props<T> {
  rows: T[];
  /** The same ones from one drawing to the next (`useMemo`): other columns draw every row anew. */
  columns: Column<T>[];
  rowId: (row: T) => string;
  label: string;
  /** The same from one drawing to the next (`useCallback`), as the columns. */
  actions?: (row: T) => ReactNode;
  sorting?: Sorting;
  onSorting?: (sorting: Sorting) => void;
  selected?: string[];
  onSelect?: (ids: string[]) => void;
  /** Name of a row for those who hear the page. */
  nameOf?: (row: T) => string;
}

/** Rows above which only the visible ones are in the document. */
const VIRTUAL_FROM = 40;
const ROW_HEIGHT = 49;
/** Rows above and below the visible ones that are drawn already. */
const OVERSCAN = 4;
const CARDS_AT_ONCE = 40;

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() });
const inOrder = new Intl.Collator(undefined, { numeric: true });

/** Numbers by size, words as a dictionary has them, `Agent 9` before `Agent 10`. */
function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return inOrder.compare(String(a), String(b));
}

export function DataTable<T extends object>({ rows, columns, rowId, label, actions, sorting, onSorting, selected, onSelect, nameOf }: Props<T>) {
  const { t } = useTranslation();
  const narrow = useMediaQuery('(max-width: 48em)', undefined, { getInitialValueInEffect: false });
  const [own, setOwn] = useState<Sorting | undefined>(sorting);
  const order = onSorting ? sorting : own;
  const defs = useMemo(
    () =>
      columns.map(
        (column): ColumnDef<typeof features, T> => ({
          id: column.id,
          header: column.header,
          accessorFn: (row: T) => (column.sort ? column.sort(row) : ''),
          enableSorting: Boolean(column.sort),
          sortFn: (a, b, id) => compare(a.getValue(id), b.getValue(id)),
        }),
      ),
    [columns],
  );
  const { id: by, desc = false } = order ?? {};
  const state = useMemo(() => ({ sorting: by ? [{ id: by, desc }] : [] }), [by, desc]);
  const table = useTable({ features, data: rows, columns: defs, state, getRowId: rowId });
  const sorted = table.getRowModel().rows;

  function sortBy(id: string) {
    const next = { id, desc: order?.id === id ? !order.desc : false };
    setOwn(next);
    onSorting?.(next);
  }

  const scroll = useRef<HTMLDivElement>(null);
  const isVirtual = !narrow && sorted.length > VIRTUAL_FROM;
  const virtual = useVirtualizer({ count: isVirtual ? sorted.length : 0, getScrollElement: () => scroll.current, estimateSize: () => ROW_HEIGHT, overscan: OVERSCAN });
  const [shown, setShown] = useState(CARDS_AT_ONCE);
  const chosen = useMemo(() => new Set(selected), [selected]);
  const toggle = (id: string) => onSelect?.(chosen.has(id) ? [...chosen].filter((one) => one !== id) : [...chosen, id]);
  const latest = useRef(toggle);
  useEffect(() => {
    latest.current = toggle;
  });
  const toggled = useCallback((id: string) => latest.current(id), []);
  const plain = columns as unknown as Column<object>[];
  const act = actions as ((row: object) => ReactNode) | undefined;

  if (narrow) {
    return (
      <ul aria-label={label} className={classes.cards}>
        {sorted.slice(0, shown).map((row) => (
          <OneCard key={row.id} row={row.original} columns={plain} actions={act} />
        ))}
        {sorted.length > shown && (
          <li>
            <Button fullWidth variant="default" onClick={() => setShown(shown + CARDS_AT_ONCE)}>
              {t('common.more', { count: sorted.length - shown })}
            </Button>
          </li>
        )}
      </ul>
    );
  }

  const items = virtual.getVirtualItems();
  const visible = isVirtual ? items.map((item) => sorted[item.index]).filter((row) => row !== undefined) : sorted;
  const before = isVirtual ? (items[0]?.start ?? 0) : 0;
  const after = isVirtual ? virtual.getTotalSize() - (items[items.length - 1]?.end ?? 0) : 0;
  const span = columns.length + (actions ? 1 : 0) + (onSelect ? 1 : 0);
  return (
    <div ref={scroll} className={isVirtual ? classes.tall : classes.wide} tabIndex={0} role="region" aria-label={label}>
      <table className={classes.table} aria-rowcount={sorted.length + 1}>
        <thead>
          <tr>
            {onSelect && (
              <th style={{ width: 36 }}>
                <input
                  type="checkbox"
                  className={classes.check}
                  aria-label={t('common.selectAll')}
                  checked={rows.length > 0 && chosen.size === rows.length}
                  ref={(box) => {
                    if (box) box.indeterminate = chosen.size > 0 && chosen.size < rows.length;
                  }}
                  onChange={() => onSelect(chosen.size === rows.length ? [] : rows.map(rowId))}
                />
              </th>
            )}
            {columns.map((column) => {
              const active = order?.id === column.id ? order : undefined;
              return (
                <th key={column.id} style={column.width === undefined ? undefined : { width: column.width }} data-right={column.right || undefined} aria-sort={active ? (active.desc ? 'descending' : 'ascending') : undefined}>
                  {column.sort ? (
                    <button type="button" onClick={() => sortBy(column.id)} className={classes.sort}>
                      <span>{column.header}</span>
                      {active ? active.desc ? <IconArrowDown size={14} /> : <IconArrowUp size={14} /> : <IconArrowsSort size={14} className={classes.idle} />}
                    </button>
                  ) : (
                    column.header
                  )}
                </th>
              );
            })}
            {actions && (
              <th style={{ width: 1 }}>
                <VisuallyHidden>{t('common.actions')}</VisuallyHidden>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }}><td colSpan={span} /></tr>}
          {visible.map((row) => (
            <Row
              key={row.id}
              row={row.original}
              columns={plain}
              actions={act}
              chosen={onSelect ? chosen.has(row.id) : undefined}
              label={onSelect ? t('common.select', { name: nameOf?.(row.original) ?? row.id }) : ''}
              id={row.id}
              toggle={toggled}
            />
          ))}
          {after > 0 && <tr aria-hidden style={{ height: after }}><td colSpan={span} /></tr>}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  row: object;
  id: string;
  columns: Column<object>[];
  actions: ((row: object) => ReactNode) | undefined;
  /** `undefined`: rows are not chosen here. */
  chosen: boolean | undefined;
  label: string;
  toggle: (id: string) => void;
}

/** A row is drawn again when it, its columns, its actions or its choice change: not when the table is sorted or scrolls past it. */
const Row = memo(function Row({ row, id, columns, actions, chosen, label, toggle }: RowProps) {
  return (
    <tr className={classes.row} data-chosen={chosen || undefined}>
      {chosen !== undefined && (
        <td>
          <input type="checkbox" className={classes.check} checked={chosen} onChange={() => toggle(id)} aria-label={label} />
        </td>
      )}
      {columns.map((column) => (
        <td key={column.id} data-right={column.right || undefined}>
          {column.cell(row)}
        </td>
      ))}
      {actions && (
        <td>
          <div className={classes.actions}>{actions(row)}</div>
        </td>
      )}
    </tr>
  );
});

const OneCard = memo(function OneCard({ row, columns, actions }: { row: object; columns: Column<object>[]; actions: ((row: object) => ReactNode) | undefined }) {
  const title = columns.find((column) => column.title) ?? columns[0];
  return (
    <li className={classes.card}>
      <div className={classes.head}>
        <div className={classes.title}>{title?.cell(row)}</div>
        {actions && <div className={classes.actions}>{actions(row)}</div>}
      </div>
      <dl className={classes.facts}>
        {columns
          .filter((column) => column !== title && !column.wideOnly)
          .map((column) => (
            <div key={column.id}>
              <dt>{column.header}</dt>
              <dd>{column.cell(row)}</dd>
            </div>
          ))}
      </dl>
    </li>
  );
});
