using Analytics.Actors.Simulation;

// The commands are in CommandLine.
return CommandLine.Run(args);
