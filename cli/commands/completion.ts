/** Completion for shells, made from the commands themselves. */
import { Argument } from 'commander';
import type { Command } from 'commander';
import { print } from '../ui/text.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Path of words → what may follow. */
type Words = Map<string, string[]>;

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .description('print the completion script of a shell')
    .addHelpText(
      'after',
      '\nExamples:\n  source <(plumbline completion bash)\n  plumbline completion fish > ~/.config/fish/completions/plumbline.fish',
    )
    .action(async (shell: Shell) => {
      // The whole programme: this command alone was loaded.
      const { buildProgram } = await import('../program.ts');
      print(scriptFor(shell, wordsOf(await buildProgram())));
    });
}

function wordsOf(command: Command, path: string[] = [], into: Words = new Map()): Words {
  const options = command.options.flatMap((option) => [option.long ?? option.short ?? '']);
  into.set(path.join(' '), [...command.commands.map((c) => c.name()), ...options, '--help']);
  for (const sub of command.commands) wordsOf(sub, [...path, sub.name()], into);
  return into;
}

function scriptFor(shell: Shell, words: Words): string {
  switch (shell) {
    case 'bash':
      return bash(words);
    case 'zsh':
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`;
    case 'fish':
      return fish(words);
  }
}

function bash(words: Words): string {
  const cases = [...words].map(([path, next]) => `    '${path}') words='${next.join(' ')}' ;;`).join('\n');
  return `_plumbline() {
  local path='' words='' i
  for ((i = 1; i < COMP_CWORD; i += 1)); do
    case "\${COMP_WORDS[i]}" in -*) ;; *) path="\${path:+$path }\${COMP_WORDS[i]}" ;; esac
  done
  while :; do
    case "$path" in
${cases}
    esac
    # An argument is no command: what the command before it takes may follow.
    [ -n "$words" ] || [ -z "$path" ] && break
    case "$path" in *' '*) path="\${path% *}" ;; *) path='' ;; esac
  done
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _plumbline plumbline`;
}

function fish(words: Words): string {
  const lines = ['complete -c plumbline -f'];
  for (const [path, next] of words) {
    const parts = path === '' ? [] : path.split(' ');
    const condition =
      parts.length === 0
        ? '__fish_use_subcommand'
        : parts.map((part) => `__fish_seen_subcommand_from ${part}`).join('; and ');
    for (const word of next)
      lines.push(
        word.startsWith('--')
          ? `complete -c plumbline -n '${condition}' -l ${word.slice(2)}`
          : `complete -c plumbline -n '${condition}' -a ${word}`,
      );
  }
  return lines.join('\n');
}
