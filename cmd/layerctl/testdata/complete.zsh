# complete.zsh SCRIPT LINE…: prints what zsh finds for each LINE, which ends
# where the cursor is, a line for each. Completion needs a line editor, and so a
# second zsh that runs in a terminal; its compadd writes down what it adds.
emulate -R zsh
zmodload zsh/zpty
export FOUND=$(mktemp -d) TERM=dumb
export ZDOTDIR=$FOUND
{
  print -r -- "asked=(${(q)@[2,-1]}); script=${(q)1}" >$FOUND/.zshrc
  cat >>$FOUND/.zshrc <<'INNER'
autoload -Uz compinit && compinit -u -D
source $script
compadd() {
  local -a only hits
  zparseopts -E -a only O: A: D:
  # With one of these it adds nothing, and answers the function that asks.
  if (( ! $#only )); then
    builtin compadd -A hits "$@"
    (( ! $#hits )) || print -rn -- "$IPREFIX"$^hits" " >>$FOUND/list
  fi
  builtin compadd "$@"
}
zle-line-init() {
  for BUFFER in $asked; do
    CURSOR=$#BUFFER
    zle complete-word
    print >>$FOUND/list
  done
  exit
}
zle -N zle-line-init
INNER
  zpty inner zsh -d -i
  while zpty -r inner seen; do :; done
  cat $FOUND/list
} always {
  rm -rf $FOUND
}
