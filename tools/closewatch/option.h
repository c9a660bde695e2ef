/*
 * option.h - the arguments of options
 */
#ifndef OPTION_H
#define OPTION_H

/*
 * The number in arg, from min to max.  If it is none, one line on standard
 * error says what was expected, and the program exits with 2.
 */
int	option_number(const char *option, const char *arg, int min, int max);

#endif /* OPTION_H */
